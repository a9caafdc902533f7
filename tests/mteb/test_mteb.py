"""mteb's own evaluation of a local task against the whole stack (`make mteb` installs mteb and runs this)."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.running import judged_set
from tests.running.stack import RunningStack

PYTHON = Path("build/mteb-venv/bin/python")


@pytest.mark.skipif(not PYTHON.exists(), reason="mteb has an environment of its own: make mteb")
@pytest.mark.timeout(600)
def test_mteb_runs_a_local_task_against_the_stack(shared_stack: RunningStack, tmp_path: Path) -> None:
    folder = judged_set.cut("squad-dev-en", "heldout24", tmp_path / "small", queries=60, passages=400)
    command = (PYTHON, "-m", "tests.mteb.local_task", str(folder), shared_stack.endpoints["gateway"])
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    scores = json.loads(done.stdout.splitlines()[-1])
    # Recall by the index is that of the vectors, but for what an approximate search misses.
    for name, value in scores["encoder"].items():
        assert scores["vector"][name] == pytest.approx(value, abs=0.02)
    assert scores["reranked"]["ndcg_at_10"] > scores["vector"]["ndcg_at_10"]
