"""What is compared: anything that embeds or reranks, started, asked, and watched while it works."""

import abc
import resource
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.loops import Run, closed_loop
from benchmarks.workloads import Request, Workload

Answer = NDArray[np.float32]  # [n, d] vectors or [n] logits, in the order of the request's texts


class System(abc.ABC):
    """What is measured, started and watched. `name` is what results call it."""

    name: str

    @abc.abstractmethod
    async def start(self) -> None:
        """Returns when it can answer."""

    @abc.abstractmethod
    async def stop(self) -> None: ...

    @abc.abstractmethod
    async def run(self, workload: Workload, in_flight: int, seconds: float) -> Run: ...

    @abc.abstractmethod
    def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far, by kind of process, this one ("client") excluded."""

    async def tokens_computed(self) -> dict[str, float]:
        """Tokens so far, real and padding; empty when it does not tell."""
        return {}


class Answering(System):
    """A system whose answers can be compared with another's before anything is timed."""

    @abc.abstractmethod
    async def answer(self, requests: Sequence[Request]) -> list[Answer]: ...


class Served(Answering):
    """A system that answers one request at a time over a connection, and many at once."""

    @abc.abstractmethod
    async def call(self, request: Request) -> Answer: ...

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        return [await self.call(request) for request in requests]

    async def run(self, workload: Workload, in_flight: int, seconds: float) -> Run:
        return await closed_loop(self.call, workload.requests, in_flight, seconds)


@asynccontextmanager
async def running(*systems: System) -> AsyncIterator[None]:
    """All of them started; stopped on leaving, also those that stand when another fails to start."""
    async with AsyncExitStack() as started:
        for system in systems:
            await system.start()
            started.push_async_callback(system.stop)
        yield


async def measured(system: System, workload: Workload, in_flight: int, seconds: float) -> dict[str, Any]:
    """One run with its facts: rates, percentiles, padding ratio, CPU microseconds per request by process."""
    tokens, cpu, own = await system.tokens_computed(), system.cpu_seconds(), client_cpu_seconds()
    run = await system.run(workload, in_flight, seconds)
    own = client_cpu_seconds() - own
    facts: dict[str, Any] = {"system": system.name, "workload": workload.name, "in_flight": in_flight} | run.facts()
    facts |= padding_facts(tokens, await system.tokens_computed())
    return facts | {"cpu_us_per_request": cpu_facts(cpu, system.cpu_seconds(), own, len(run.latencies))}


def client_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_facts(before: dict[str, float], after: dict[str, float], client: float, requests: int) -> dict[str, int]:
    spent = {name: after[name] - before.get(name, 0.0) for name in after} | {"client": client}
    return {name: round(seconds / max(1, requests) * 1e6) for name, seconds in spent.items()}


def padding_facts(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """padding_ratio: padding tokens over all tokens computed."""
    spent = {kind: after.get(kind, 0.0) - before.get(kind, 0.0) for kind in ("real", "padding")}
    total = sum(spent.values())
    return {"padding_ratio": round(spent["padding"] / total, 4)} if total else {}


def agreement(ours: Sequence[Answer], theirs: Sequence[Answer]) -> float:
    """The worst cosine of any text's two vectors, or of any request's two lists of logits."""
    return min(float(_cosines(a, b).min()) for a, b in zip(ours, theirs, strict=True))


def _cosines(a: Answer, b: Answer) -> NDArray[np.float64]:
    a, b = np.atleast_2d(a).astype(np.float64), np.atleast_2d(b).astype(np.float64)
    cosines: NDArray[np.float64] = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return cosines
