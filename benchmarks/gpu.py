"""How fast one GPU computes: the packed graph in a bare session, and torch on the same card in the same run.

    python -m benchmarks.gpu          needs a GPU, onnxruntime-gpu and a torch with CUDA; says what of it is missing
    python -m benchmarks.gpu --dry    the same steps on the CPU: padded, a tiny model, numbers that mean nothing

Writes benchmarks/results/DATE-COMMIT-gpu.json (dry: build/bench/gpu-dry.json). tokens_per_s are real tokens; p50_ms and
p99_ms are of one text of 16 tokens, in RR100 of one request of 100 passages. cosine is the smallest to torch in fp32.
Weights are random, of the true shapes. Not in here yet: Triton and the service, the other attention operators, a sweep
of the token budget, CUDA graphs, several instances.
"""

import argparse
import copy
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from transformers import AutoModel

from benchmarks import plan
from benchmarks.random_models import BASE, LARGE, SMALL, TINY, Shape
from benchmarks.report import FOLDER
from export import engine
from export.exporter import export
from export.graph_writer import Wish
from export.source import Source
from serving.batching import Batch, Layout, PaddedLayout, Rows
from serving.batching.rows import take
from serving.layouts import layout_of
from serving.served_model import ServedModel

SEED = 20261122
BATCH_TOKENS = 16_384
COMPARED = 8
Compute = Callable[[Batch], NDArray[np.float32]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="on the CPU, to see that it works")
    parser.add_argument("--seconds", type=float, default=10.0, help="of one measurement")
    options = parser.parse_args()
    if (lacking := missing()) and not options.dry:
        print(f"benchmarks.gpu: missing here: {'; '.join(lacking)}. --dry goes through the steps.", file=sys.stderr)
        return 2
    shapes, scale = ((TINY,), 0.02) if options.dry else ((BASE, LARGE, SMALL), 1.0)
    device = torch.device("cpu" if options.dry else "cuda")
    rows = [row for shape in shapes for row in measure(shape, device, options.seconds, scale)]
    _print(rows)
    commit, date = plan.commit(), datetime.now(UTC).strftime("%Y-%m-%d")
    path = plan.RESULTS / "gpu-dry.json" if options.dry else FOLDER / f"{date}-{commit}-gpu.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"date": date, "commit": commit, "device": _device_name(device), "ceilings": ceilings(device, scale)}
    path.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")
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


def measure(shape: Shape, device: torch.device, seconds: float, scale: float) -> list[dict[str, Any]]:
    """The rows of one model."""
    with tempfile.TemporaryDirectory() as scratch:
        source, out = Source(shape.write(Path(scratch) / "source"), shape.name), Path(scratch) / "models"
        wish = Wish() if device.type == "cpu" else Wish("packed", "fp16")
        model = export(source, out, shape.entry(), report=print, wish=wish)
        original = AutoModel.from_pretrained(source.folder, attn_implementation="sdpa", add_pooling_layer=False).eval()
        paths = {"bare": _bare(out, model, device), "torch-sdpa": _torch(original, device)}
        layouts = {"bare": layout_of(model), "torch-sdpa": PaddedLayout(("input_ids", "attention_mask"), 0)}
        found = []
        for name, lengths in workloads(scale).items():
            rows = _random_rows(lengths, shape.vocabulary)
            expected = [_reference(original, take(rows, np.array([index]))) for index in range(COMPARED)]
            for path, compute in paths.items():
                batches = _batches(rows, layouts[path])
                answers = compute(layouts[path].batch([take(rows, np.arange(COMPARED))]))
                query = _batches(_random_rows([16], shape.vocabulary), layouts[path])
                request = batches if name == "RR100" else query
                facts = {"model": shape.name, "workload": name, "path": path}
                found.append(
                    {**facts, **_timed(compute, batches, request, seconds), "cosine": _cosine(answers, expected)}
                )
    return found


def workloads(scale: float) -> dict[str, list[int]]:
    """Row lengths: all of 50, all of 512, log-normal with mean 180, and a query of 16 with each of 100 passages."""
    random = np.random.default_rng(SEED)
    mixed = np.exp(random.normal(np.log(180) - 0.245, 0.7, 2048)).clip(8, 512).astype(int)
    passages = (16 + np.exp(random.normal(np.log(184) - 0.08, 0.4, 100))).clip(24, 512).astype(int)
    found = {"S50": [50] * 4096, "S512": [512] * 512, "MIX": mixed.tolist(), "RR100": passages.tolist()}
    return {name: lengths[: max(COMPARED, int(len(lengths) * scale))] for name, lengths in found.items()}


def ceilings(device: torch.device, scale: float) -> dict[str, float]:
    """What this card does at best: a large product, and a copy (bytes read and written)."""
    size = int(8192 * scale)
    kind = torch.float32 if device.type == "cpu" else torch.float16
    square, much = torch.ones(size, size, dtype=kind, device=device), torch.ones(size, 8 * size, device=device)
    product = _fastest(lambda: torch.matmul(square, square), device)
    copy_seconds = _fastest(lambda: much.clone(), device)
    return {"matmul_tflops": 2 * size**3 / product / 1e12, "copy_tb_per_s": 2 * much.nbytes / copy_seconds / 1e12}


def _bare(out: Path, model: ServedModel, device: torch.device) -> Compute:
    """A session as the service's runner opens it; arrays go in and vectors come back."""
    version = out / model.name / "repository" / model.name / "1"
    runner, graph = engine.runner(), version / "model.onnx"
    session, _ = (
        runner.open_session(graph, "fp32", 0)
        if device.type == "cpu"
        else runner.open_on_gpu(graph, 0, model.precision, model.precision, 0)
    )
    return lambda batch: session.run(["vectors"], batch.arrays)[0]


def _torch(original: Any, device: torch.device) -> Compute:
    """fp16 on a GPU, with torch's own attention; rows of like length together."""
    model = copy.deepcopy(original).to(device, torch.float32 if device.type == "cpu" else torch.float16)

    def compute(batch: Batch) -> NDArray[np.float32]:
        with torch.inference_mode():
            hidden = model(**{name: torch.from_numpy(array).to(device) for name, array in batch.arrays.items()})[0]
            vectors: NDArray[np.float32] = torch.nn.functional.normalize(hidden[:, 0].float(), dim=1).cpu().numpy()
        return vectors

    return compute


def _reference(original: Any, row: Rows) -> NDArray[np.float32]:
    with torch.inference_mode():
        hidden: NDArray[np.float32] = original(input_ids=torch.from_numpy(row.ids)[None])[0][0, 0].numpy()
    return hidden


def _random_rows(lengths: Sequence[int], vocabulary: int) -> Rows:
    ids = np.random.default_rng(SEED).integers(5, vocabulary, sum(lengths), dtype=np.int32)
    return Rows(ids, np.array(lengths, np.int32))


def _batches(rows: Rows, layout: Layout) -> list[Batch]:
    """As many rows as fill the budget: as they come, or, where they are padded, sorted by length."""
    order = np.arange(len(rows)) if layout.mixes_lengths else np.argsort(-rows.lengths)
    full = np.cumsum(rows.lengths[order]) // BATCH_TOKENS
    return [layout.batch([take(rows, part)]) for part in np.split(order, np.flatnonzero(np.diff(full)) + 1)]


def _timed(compute: Compute, batches: Sequence[Batch], request: Sequence[Batch], seconds: float) -> dict[str, float]:
    """Real tokens per second of all batches, again and again; and how long one request takes."""
    whole = _repeated(compute, batches, seconds)
    alone = _repeated(compute, request, seconds)
    tokens = sum(batch.tokens for batch in batches)
    p50, p99 = np.percentile(alone, [50, 99]) * 1e3
    return {"tokens_per_s": tokens / float(np.median(whole)), "p50_ms": float(p50), "p99_ms": float(p99)}


def _repeated(compute: Compute, batches: Sequence[Batch], seconds: float) -> list[float]:
    """Seconds of each pass, after one that is not counted: engines prepare themselves for shapes."""
    found: list[float] = []
    for batch in batches:
        compute(batch)
    stop = time.perf_counter() + seconds
    while not found or time.perf_counter() < stop:
        begun = time.perf_counter()
        for batch in batches:
            compute(batch)
        found.append(time.perf_counter() - begun)
    return found


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of ten."""
    found = []
    for _ in range(11):
        begun = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begun)
    return min(found[1:])


def _cosine(answers: NDArray[np.float32], expected: Sequence[NDArray[np.float32]]) -> float:
    wanted = np.stack([vector / np.linalg.norm(vector) for vector in expected])
    return float((answers * wanted).sum(axis=1).min())


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else "CPU, dry run"


def _print(rows: Sequence[dict[str, Any]]) -> None:
    print(f"{'model':8}{'workload':10}{'path':12}{'tokens/s':>12}{'p50 ms':>9}{'p99 ms':>9}  cosine")
    for row in rows:
        named = f"{row['model']:8}{row['workload']:10}{row['path']:12}"
        print(f"{named}{row['tokens_per_s']:12,.0f}{row['p50_ms']:9.2f}{row['p99_ms']:9.2f}  {row['cosine']:.6f}")


if __name__ == "__main__":
    sys.exit(main())
