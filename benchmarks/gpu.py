"""How fast one GPU computes: each layer of siftline and its peers on the same card, in the same run.

    python -m benchmarks.gpu          needs a GPU, onnxruntime-gpu and a torch with CUDA; says what of it is missing
    python -m benchmarks.gpu --dry    the same steps on the CPU: padded, a tiny model, numbers that mean nothing

Writes benchmarks/results/DATE-COMMIT-gpu.json (dry: build/bench/gpu-dry.json). `rows`: tokens_per_s are real tokens;
p50_ms and p99_ms are of one text of 16 tokens, in RR100 of one request of 100 passages; cosine is the smallest to torch
in fp32. A run for some of --models keeps the rows of the others. Weights are random, of the true shapes.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks import plan
from benchmarks.on_gpu import peers, served, sessions
from benchmarks.on_gpu.ceilings import ceilings
from benchmarks.on_gpu.subject import COMPARED, Computer, Pass, Subject, Unable, Vectors, rows_of, workloads
from benchmarks.random_models import BASE, LARGE, SMALL, TINY
from benchmarks.report import FOLDER
from serving.batching import Rows
from serving.batching.rows import take
from serving.layouts import layout_of

SHAPES = {shape.name: shape for shape in (BASE, LARGE, SMALL)}
# Attention's other operators, and torch: ways to compute the same vectors.
OTHERS: dict[str, Callable[[Subject], Computer]] = {
    "padded-fused": sessions.padded_fused,
    "packed-attention": sessions.packed_attention,
    "packed-mha": sessions.packed_multi_head,
    "sentence-transformers": peers.sentence_transformers,
    "torch-sdpa": peers.torch_sdpa,
    "torch-varlen": peers.torch_varlen,
}
BUDGETS = (512, 1024, 2048, 4096, 8192, 16_384, 32_768)
GRAPH_LENGTHS = (16, 32, 64, 128, 256, 512)
Row = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="on the CPU, to see that it works")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--models", nargs="+", choices=list(SHAPES), default=list(SHAPES), help="shapes to measure")
    options = parser.parse_args()
    if (lacking := missing()) and not options.dry:
        print(f"benchmarks.gpu: missing here: {'; '.join(lacking)}. --dry goes through the steps.", file=sys.stderr)
        return 2
    device = torch.device("cpu" if options.dry else "cuda")
    scale = 0.01 if options.dry else 1.0
    limits = ceilings(device, scale)
    ladder = Ladder(options.seconds, scale, limits["matmul_tflops"])
    for shape in [TINY] if options.dry else [SHAPES[name] for name in options.models]:
        with tempfile.TemporaryDirectory() as scratch:
            ladder.climb(Subject(shape, Path(scratch), device))
    commit, date = plan.commit(), datetime.now(UTC).strftime("%Y-%m-%d")
    path = plan.RESULTS / "gpu-dry.json" if options.dry else FOLDER / f"{date}-{commit}-gpu.json"
    facts = {"date": date, "commit": commit, "device": _device_name(device), "ceilings": limits}
    _write(path, facts, ladder.found)
    print(f"written to {path}")
    return 0


def missing() -> list[str]:
    """What a measurement needs and this machine lacks."""
    found = []
    if not torch.cuda.is_available():
        found.append("a GPU that torch can use")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        found.append("onnxruntime-gpu (this ONNX Runtime has no CUDA provider)")
    return found


class Ladder:
    """Everything that is measured of a model. `found` has, besides `rows`, what is asked of the bare session alone."""

    def __init__(self, seconds: float, scale: float, matmul_tflops: float) -> None:
        self._seconds, self._scale, self._matmul_tflops = seconds, scale, matmul_tflops
        self.found: dict[str, list[Row]] = {
            name: [] for name in ("rows", "budgets", "cuda_graphs", "instances", "not_run")
        }

    def climb(self, subject: Subject) -> None:
        asked = {name: (rows, subject.reference(rows)) for name, rows in workloads(self._scale).items()}
        print(
            f"\n{'workload':10}{'path':24}{'tokens/s':>12}{'TFLOP/s':>9}{'share':>7}{'p50 ms':>9}{'p99 ms':>9}  cosine"
        )
        compute = sessions.bare(subject)
        self._measure(subject, asked, "bare", sessions.by_batches(layout_of(subject.served), compute))
        with served.serving(subject, instances=1) as ways:
            for path, computer in ways.items():
                self._measure(subject, asked, path, computer)
        for path, make in OTHERS.items():
            with self._able(subject, path):
                self._measure(subject, asked, path, make(subject))
        self._budgets(subject, compute)
        with self._able(subject, "CUDA graphs on and off"):
            self._cuda_graphs(subject)
        with self._able(subject, "two instances"):
            self._two_instances(subject, asked)

    def _measure(self, subject: Subject, asked: dict[str, tuple[Rows, Vectors]], path: str, computer: Computer) -> None:
        for workload, (rows, expected) in asked.items():
            compared = computer(take(rows, np.arange(COMPARED)))()
            cosine = float((compared * expected).sum(axis=1).min())
            whole = self._times(computer(rows))
            alone = whole if workload == "RR100" else self._times(computer(rows_of([16])))
            row: Row = {"model": subject.shape.name, "workload": workload, "path": path}
            row["tokens_per_s"] = rows.tokens / float(np.median(whole))
            row |= {**_percentiles(alone), "cosine": cosine}
            self.found["rows"].append(row)
            self._print(row, subject.flops(rows) / rows.tokens * row["tokens_per_s"] / 1e12)

    def _print(self, row: Row, tflops: float) -> None:
        speed = f"{row['tokens_per_s']:12,.0f}{tflops:9.2f}{tflops / self._matmul_tflops:7.0%}"
        times = f"{row['p50_ms']:9.2f}{row['p99_ms']:9.2f}  {row['cosine']:.6f}"
        print(f"{row['workload']:10}{row['path']:24}{speed}{times}", flush=True)

    def _budgets(self, subject: Subject, compute: sessions.Compute) -> None:
        """Tokens in a batch: how many pay."""
        for length in (50, 512):
            for budget in BUDGETS if subject.on_gpu else BUDGETS[:2]:
                batch = layout_of(subject.served).batch([rows_of([length] * max(1, budget // length))])
                seconds = float(np.median(self._times(partial(compute, batch))))
                self._note("budgets", subject, length=length, tokens=batch.tokens, tokens_per_s=batch.tokens / seconds)

    def _cuda_graphs(self, subject: Subject) -> None:
        """One text alone, and as many of the longest as graphs are for."""
        if not subject.on_gpu:
            raise Unable("they are of a GPU")
        for graphs in (True, False):
            compute = sessions.bare(subject, graphs=graphs)
            for lengths in [[length] for length in GRAPH_LENGTHS] + [[512] * 2, [512] * 3, [511] * 4]:
                batch = layout_of(subject.served).batch([rows_of(lengths)])
                times = _percentiles(self._times(partial(compute, batch)))
                self._note("cuda_graphs", subject, tokens=batch.tokens, graphs=graphs, **times)

    def _two_instances(self, subject: Subject, asked: dict[str, tuple[Rows, Vectors]]) -> None:
        if not subject.on_gpu:
            raise Unable("instances share cores here, not a GPU")
        with served.serving(subject, instances=2) as ways:
            for path, computer in ways.items():
                for workload, (rows, _) in asked.items():
                    speed = rows.tokens / float(np.median(self._times(computer(rows))))
                    self._note("instances", subject, instances=2, path=path, workload=workload, tokens_per_s=speed)

    def _note(self, question: str, subject: Subject, **facts: object) -> None:
        self.found[question].append({"model": subject.shape.name, **facts})
        print(f"{question}: {subject.shape.name} {facts}", flush=True)

    @contextmanager
    def _able(self, subject: Subject, what: str) -> Iterator[None]:
        try:
            yield
        except Unable as error:
            self._note("not_run", subject, what=what, why=str(error))

    def _times(self, one_pass: Pass) -> list[float]:
        """Seconds of each pass, after two that are not counted: engines prepare themselves for shapes."""
        one_pass(), one_pass()
        found: list[float] = []
        stop = time.perf_counter() + self._seconds
        while not found or time.perf_counter() < stop:
            begun = time.perf_counter()
            one_pass()
            found.append(time.perf_counter() - begun)
        return found


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    return {"p50_ms": float(p50), "p99_ms": float(p99)}


def _write(path: Path, facts: dict[str, Any], found: dict[str, list[Row]]) -> None:
    """Other models' rows of the same day and commit stay."""
    known = json.loads(path.read_text()) if path.exists() else {}
    models = {row["model"] for row in found["rows"]}
    kept = {name: [row for row in known.get(name, []) if row["model"] not in models] for name in found}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**facts, **{name: kept[name] + rows for name, rows in found.items()}}, indent=1) + "\n")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else "CPU, dry run"


if __name__ == "__main__":
    sys.exit(main())
