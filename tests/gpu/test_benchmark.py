"""The benchmark goes through its steps without a GPU, and does not measure without one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import missing

RESULT = Path("build/bench/gpu-dry.json")
PATHS = ("bare", "triton", "service", "padded-fused", "sentence-transformers", "torch-sdpa", "torch-varlen")
FOR_A_GPU = {"packed-attention", "packed-mha", "CUDA graphs on and off", "two instances"}
FIELDS = {"model", "workload", "path", "tokens_per_s", "p50_ms", "p99_ms", "cosine"}


def benchmark(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmarks.gpu", *flags], check=False, capture_output=True, text=True)


def test_dry_run() -> None:
    RESULT.unlink(missing_ok=True)
    ended = benchmark("--dry", "--seconds", "0.05")
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(RESULT.read_text())
    rows = found["rows"]
    assert {(row["workload"], row["path"]) for row in rows} == {
        (workload, path) for workload in ("S50", "S512", "MIX", "RR100") for path in PATHS
    }
    assert {each["what"] for each in found["not_run"]} == FOR_A_GPU
    assert {each["length"] for each in found["budgets"]} == {50, 512}
    for row in rows:
        assert set(row) == FIELDS
        assert row["cosine"] > 0.9999
        assert 0 < row["p50_ms"] <= row["p99_ms"]


@pytest.mark.usefixtures("gpu")
def test_on_a_gpu() -> None:
    """Every rung, quickly; the figures are for a longer run."""
    ended = benchmark("--models", "small", "--seconds", "0.2")
    assert ended.returncode == 0, ended.stderr[-2000:]
    path = Path(ended.stdout.splitlines()[-1].removeprefix("written to "))
    found = json.loads(path.read_text())
    path.unlink()
    assert found["not_run"] == []
    assert {row["path"] for row in found["rows"]} == {*PATHS, "packed-attention", "packed-mha"}
    assert {each["graphs"] for each in found["cuda_graphs"]} == {True, False}
    assert all(row["cosine"] >= 0.9999 for row in found["rows"])


@pytest.mark.skipif(not missing(), reason="everything is here")
def test_without_a_gpu_it_says_what_is_missing() -> None:
    ended = benchmark()
    assert ended.returncode == 2
    assert all(lacking in ended.stderr for lacking in missing())
