"""docs/metrics.md, the dashboards and the PrometheusRule are what the declarations give."""

import sys

from tests.deploy.programs import run


def test_nothing_generated_is_out_of_step() -> None:
    """In a process of its own: other tests add label values to this one's metrics."""
    run(sys.executable, "-m", "tools.document_metrics", "--check")
