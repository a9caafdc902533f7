"""ONNX Runtime alone: as many processes as the service has engines, each with its share of the work in memory.

Two rungs of the ladder: the batches that siftline's batcher forms, ready as they are ("bare-ort"); or texts, which each
process tokenises, sorts by length and batches itself ("bare-ort + tokenise"). No queue, no wire.

As a script, this file is one of the processes.
"""

import asyncio
import json
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loops import Run
from benchmarks.processes import RUN, tree_cpu_seconds
from benchmarks.systems import System
from benchmarks.workloads import Request, Workload
from export import engine
from serving import served_model
from serving.batching import Batch, Rows
from serving.batching.rows import take
from serving.calibration import length_edges
from serving.layouts import layout_of

CHUNK_REQUESTS = 4


class BareOrt(System):
    """`batches` to be computed as they are, or, without them, the texts of the workload."""

    def __init__(self, model: Path, batch_tokens: int, batches: Sequence[Batch] = (), processes: int = 2) -> None:
        self.name = "bare-ort" if batches else "bare-ort + tokenise"
        self._model = model
        self._batch_tokens = batch_tokens
        self._batches = batches
        self._count = processes
        self._computed = {"real": 0.0, "padding": 0.0}

    async def start(self) -> None:
        RUN.mkdir(parents=True, exist_ok=True)
        pipe = asyncio.subprocess.PIPE
        with (RUN / "bare-ort.log").open("ab") as log:
            self._processes = [
                await asyncio.create_subprocess_exec(
                    sys.executable, "-m", __spec__.name, str(self._model), str(self._batch_tokens),
                    stdin=pipe, stdout=pipe, stderr=log,
                )
                for _ in range(self._count)
            ]  # fmt: skip

    async def stop(self) -> None:
        for process in self._processes:
            process.stdin.close()  # type: ignore[union-attr]
            await process.wait()

    async def run(self, workload: Workload, in_flight: int, seconds: float) -> Run:
        """Latencies are those of batches."""
        work: Sequence[Any] = self._batches or [request.texts for request in workload.requests]
        orders = [self._order(work[i :: self._count], f"{self.name}-{i}", seconds) for i in range(self._count)]
        for process, order in zip(self._processes, orders, strict=True):
            process.stdin.write(order)  # type: ignore[union-attr]
        replies = [json.loads(await process.stdout.readline()) for process in self._processes]  # type: ignore[union-attr]
        run = Run(seconds=max(reply["seconds"] for reply in replies))
        for rows, computed, tokens, latency in (batch for reply in replies for batch in reply["batches"]):
            run.count(Request(("",) * rows, tokens), latency)
            self._computed["real"] += tokens
            self._computed["padding"] += computed - tokens
        return run

    async def tokens_computed(self) -> dict[str, float]:
        return dict(self._computed)

    def cpu_seconds(self) -> dict[str, float]:
        return {"runner": sum(tree_cpu_seconds(p.pid, "runner")["runner"] for p in self._processes)}

    def _order(self, work: Sequence[Any], name: str, seconds: float) -> bytes:
        file = RUN / f"{name.replace(' ', '')}.pickle"
        file.write_bytes(pickle.dumps(list(work)))
        return json.dumps({"file": str(file), "seconds": seconds}).encode() + b"\n"


class Computer:
    """One process: one session, as the service's runner opens it."""

    def __init__(self, folder: Path, batch_tokens: int) -> None:
        self._model = served_model.load(folder)
        self._tokenizer = self._open_tokenizer(folder)
        version = folder / "repository" / self._model.name / "1"
        self._session = engine.open_session(version / "model.onnx", self._model, 1)
        self._layout = layout_of(self._model, length_edges(self._model.max_tokens))
        self._batch_tokens = batch_tokens

    def work(self, file: str, seconds: float) -> dict[str, Any]:
        pieces = pickle.loads(Path(file).read_bytes())
        done: list[tuple[int, int, int, float]] = []
        started = begun = time.perf_counter()
        while True:
            for batch in self._matrices(pieces):
                self._session.run(["vectors"], batch.arrays)
                now = time.perf_counter()
                done.append((batch.rows, batch.computed, batch.tokens, now - begun))
                begun = now
                if now - started > seconds:
                    return {"seconds": now - started, "batches": done}

    def _matrices(self, pieces: Sequence[Any]) -> Iterator[Batch]:
        if isinstance(pieces[0], Batch):
            yield from pieces
            return
        for first in range(0, len(pieces), CHUNK_REQUESTS):
            texts = [text for piece in pieces[first : first + CHUNK_REQUESTS] for text in piece]
            yield from self._batched(self._tokenizer.encode_batch_fast(texts))

    def _batched(self, encodings: Sequence[Any]) -> Iterator[Batch]:
        """Sorted by length, cut where a batch is full."""
        lengths = np.array([len(encoding.ids) for encoding in encodings], np.int32)
        ids = np.concatenate([np.array(encoding.ids, np.int32) for encoding in encodings])
        rows, order = Rows(ids, lengths), np.argsort(-lengths)
        first = 0
        while first < len(order):
            count = max(1, self._batch_tokens // int(lengths[order[first]]))
            yield self._layout.batch([take(rows, order[first : first + count])])
            first += count

    def _open_tokenizer(self, folder: Path) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / served_model.TOKENIZER_FILE))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self._model.max_tokens)
        return tokenizer


def main() -> None:
    computer = Computer(Path(sys.argv[1]), int(sys.argv[2]))
    for line in sys.stdin:
        print(json.dumps(computer.work(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
