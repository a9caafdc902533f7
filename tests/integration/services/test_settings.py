"""A setting that is wrong is told in one line, by its name, with exit status 2."""

import subprocess
import sys

import pytest

CASES = {
    "missing": (["services.embed"], "siftline: setting --model-dir: Field required"),
    "no number": (
        ["services.embed", "--model-dir=x", "--workers=many"],
        "siftline: setting --workers: Input should be",
    ),
    "below its bound": (["gateway", "--workers=0"], "siftline: setting --workers: Input should be greater than"),
    "no model there": (["services.rerank", "--model-dir=x"], "siftline: model_dir x: no exported model there"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line(case: str) -> None:
    command, line = CASES[case]
    ended = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith(line)
    assert len(ended.stderr.splitlines()) == 1
