"""sentence-transformers in process, no server at all: everything in one list, sorted by length, torch on all cores.

The library runs in a process of its own (this file as a script), so that its time is not the client's; texts and
answers pass through a file, outside what is timed.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loops import Run
from benchmarks.processes import RUN, tree_cpu_seconds
from benchmarks.systems import Answer, Answering
from benchmarks.workloads import Request, Workload

# Texts in one call of the library: enough for its sorting to pay, few enough to stop in time.
CHUNK_TOKENS = 60_000


class SentenceTransformers(Answering):
    """One model folder in bf16 or fp32."""

    def __init__(self, model: Path, task: str, precision: str, batch_size: int = 32) -> None:
        self.name = f"sentence-transformers-{precision}"
        self._facts = ("--model", str(model), "--task", task, "--precision", precision, "--batch-size", str(batch_size))
        self._file = RUN / f"{self.name}-{task}"

    async def start(self) -> None:
        RUN.mkdir(parents=True, exist_ok=True)
        pipe = asyncio.subprocess.PIPE
        with self._file.with_suffix(".log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", __spec__.name, *self._facts, stdin=pipe, stdout=pipe, stderr=log
            )
        await self._reply()

    async def stop(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        await self._process.wait()

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        await self._ask(requests, seconds=0.0)
        arrays = np.load(self._file.with_suffix(".npy"))
        ends = np.cumsum([len(request.texts) for request in requests])
        return np.split(arrays, ends[:-1])

    async def run(self, workload: Workload, in_flight: int, seconds: float) -> Run:
        """`in_flight` means nothing here: the library gets as much as it can use."""
        done = await self._ask(workload.requests, seconds)
        run = Run(seconds=done["seconds"])
        for i in range(done["requests"]):
            run.count(workload.requests[i % len(workload.requests)], done["seconds"])
        return run

    def cpu_seconds(self) -> dict[str, float]:
        return tree_cpu_seconds(self._process.pid, "library")

    async def _ask(self, requests: Sequence[Request], seconds: float) -> Any:
        file = self._file.with_suffix(".json")
        file.write_text(json.dumps([(request.query, request.texts, request.tokens) for request in requests]))
        order = {"requests": str(file), "answers": str(self._file.with_suffix(".npy")), "seconds": seconds}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")  # type: ignore[union-attr]
        return await self._reply()

    async def _reply(self) -> Any:
        line = await self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise RuntimeError(f"{self.name} ended, see {self._file}.log")
        return json.loads(line)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path)
    parser.add_argument("--task")
    parser.add_argument("--precision")
    parser.add_argument("--batch-size", type=int)
    arguments = parser.parse_args()
    compute = _library(arguments)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_work(compute, **json.loads(line))), flush=True)


def _library(arguments: argparse.Namespace) -> Any:
    import torch
    from sentence_transformers import CrossEncoder, SentenceTransformer

    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[arguments.precision]
    facts: dict[str, Any] = {"device": "cpu", "model_kwargs": {"torch_dtype": dtype}}
    batch: dict[str, Any] = {"batch_size": arguments.batch_size, "show_progress_bar": False}
    if arguments.task == "embed":
        embedder = SentenceTransformer(str(arguments.model), **facts)
        return lambda chunk: embedder.encode([text for _, texts, _ in chunk for text in texts], **batch)
    scorer = CrossEncoder(str(arguments.model), **facts)
    pairs = batch | {"activation_fn": torch.nn.Identity()}
    return lambda chunk: scorer.predict([(query, text) for query, texts, _ in chunk for text in texts], **pairs)


def _work(compute: Any, requests: str, answers: str, seconds: float) -> dict[str, float]:
    """All requests once with their answers (0 seconds), or over and over until the time is up."""
    chunks = list(_chunks(json.loads(Path(requests).read_text())))
    if not seconds:
        np.save(answers, np.concatenate([np.asarray(compute(chunk), np.float32) for chunk in chunks]))
        return {}
    done, started = 0, time.perf_counter()
    while True:
        for chunk in chunks:
            compute(chunk)
            done += len(chunk)
            if (elapsed := time.perf_counter() - started) > seconds:
                return {"seconds": elapsed, "requests": done}


def _chunks(requests: list[Any]) -> list[list[Any]]:
    chunks: list[list[Any]] = []
    room = 0
    for request in requests:
        if room <= 0:
            chunks.append([])
            room = CHUNK_TOKENS
        chunks[-1].append(request)
        room -= request[2]
    return chunks


if __name__ == "__main__":
    main()
