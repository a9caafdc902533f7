"""The same batches through Triton, and texts through the service in front of it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from benchmarks.on_gpu.sessions import batches_of
from benchmarks.on_gpu.subject import BATCH_TOKENS, Computer, Pass, Subject, Vectors, texts_of
from benchmarks.ours import Service
from benchmarks.workloads import Request
from serving.batching import Batch, Rows
from serving.layouts import layout_of
from serving.triton import OUTPUTS, TritonEngine

TEXTS_PER_REQUEST = 128
REQUESTS_IN_FLIGHT = 16
T = TypeVar("T")


class Served:
    """A service with its Triton, asked from a thread of its own."""

    def __init__(self, subject: Subject, instances: int) -> None:
        self._subject, self._instances = subject, instances
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        flags: dict[str, object] = {"instances": instances, "batch-tokens": BATCH_TOKENS}
        if not subject.on_gpu:
            flags |= {"precision": "fp32"}
        self._service = Service("embed", subject.folder / subject.served.name, flags=flags)

    def start(self) -> None:
        self._wait(self._service.start())
        self._engine = self._wait(self._connect())

    def stop(self) -> None:
        self._wait(self._engine.close())
        self._wait(self._service.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def triton(self, rows: Rows) -> Pass:
        """Ready batches, one more in flight than there are engines."""
        batches, back = batches_of(layout_of(self._subject.served), rows)

        async def compute(batch: Batch) -> Vectors:
            return (await self._engine.run(batch))[0]

        return lambda: np.concatenate(self._wait(_all(compute, batches, self._instances + 1)))[back]

    def service(self, rows: Rows) -> Pass:
        """Texts, many requests at once."""
        texts = texts_of(rows)
        requests = [
            Request(tuple(texts[first : first + TEXTS_PER_REQUEST]), 0)
            for first in range(0, len(texts), TEXTS_PER_REQUEST)
        ]
        return lambda: np.concatenate(self._wait(_all(self._service.call, requests, REQUESTS_IN_FLIGHT)))

    async def _connect(self) -> TritonEngine:
        return TritonEngine(self._service.triton, self._subject.served.name, OUTPUTS["embed"], timeout=60.0)

    def _wait(self, work: Awaitable[T]) -> T:
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop).result()


@contextmanager
def serving(subject: Subject, instances: int) -> Iterator[dict[str, Computer]]:
    """Both ways in, by path."""
    served = Served(subject, instances)
    served.start()
    try:
        yield {"triton": served.triton, "service": served.service}
    finally:
        served.stop()


async def _awaited(work: Awaitable[T]) -> T:
    return await work


async def _all(call: Callable[[T], Awaitable[Vectors]], requests: Sequence[T], in_flight: int) -> list[Vectors]:
    """Answers in the order of the requests."""
    free = asyncio.Semaphore(in_flight)

    async def one(request: T) -> Vectors:
        async with free:
            return await call(request)

    return list(await asyncio.gather(*map(one, requests)))
