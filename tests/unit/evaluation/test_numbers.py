"""Numbers that `siftline eval` and `calibrate` refuse, before anything is read."""

import pytest

from siftline.cli import main


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ("eval x --queries 0", "--queries: 0 is not at least 1"),
        ("eval x --latency-searches -1", "--latency-searches: -1 is not at least 0"),
        ("calibrate x --queries -5", "--queries: -5 is not at least 1"),
        ("calibrate x --depth 0", "--depth: 0 is not at least 1"),
        ("calibrate x --concurrency 0", "--concurrency: 0 is not at least 1"),
        ("calibrate x --precision 1.5", "--precision: 1.5 is not between 0 and 1"),
        ("calibrate x --rejection much", "--rejection: invalid share value: 'much'"),
    ],
)
def test_refused_numbers(flags: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(flags.split())
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err
