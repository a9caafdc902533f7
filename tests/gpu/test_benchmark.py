"""The benchmark goes through its steps without a GPU, and does not measure without one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import missing

RESULT = Path("build/bench/gpu-dry.json")
FIELDS = {"model", "workload", "path", "tokens_per_s", "p50_ms", "p99_ms", "cosine"}


def benchmark(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmarks.gpu", *flags], check=False, capture_output=True, text=True)


def test_dry_run() -> None:
    RESULT.unlink(missing_ok=True)
    ended = benchmark("--dry", "--seconds", "0.05")
    assert ended.returncode == 0, ended.stderr[-2000:]
    rows = json.loads(RESULT.read_text())["rows"]
    assert {(row["workload"], row["path"]) for row in rows} == {
        (workload, path) for workload in ("S50", "S512", "MIX", "RR100") for path in ("bare", "torch-sdpa")
    }
    for row in rows:
        assert set(row) == FIELDS
        assert row["cosine"] > 0.9999
        assert 0 < row["p50_ms"] <= row["p99_ms"]


@pytest.mark.skipif(not missing(), reason="everything is here")
def test_without_a_gpu_it_says_what_is_missing() -> None:
    ended = benchmark()
    assert ended.returncode == 2
    assert all(lacking in ended.stderr for lacking in missing())
