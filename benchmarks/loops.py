"""How load is offered: closed loop (n requests in flight) and open loop (Poisson arrivals)."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import grpc
import numpy as np

from benchmarks.workloads import Request

Call = Callable[[Request], Awaitable[object]]


@dataclass(slots=True)
class Run:
    """What one run did: whole requests only, `seconds` from the first sent to the last answered."""

    seconds: float = 0.0
    texts: int = 0
    tokens: int = 0
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    late: list[float] = field(default_factory=list)  # open loop: how far behind the schedule each was sent

    def count(self, request: Request, latency: float) -> None:
        self.texts += len(request.texts)
        self.tokens += request.tokens
        self.latencies.append(latency)

    def facts(self) -> dict[str, float]:
        """Rates and percentiles; tokens are real ones, latencies in milliseconds."""
        p50, p90, p99 = np.percentile(self.latencies, [50, 90, 99]) * 1e3
        return {
            "requests": len(self.latencies),
            "errors": self.errors,
            "seconds": round(self.seconds, 3),
            "texts_per_s": round(self.texts / self.seconds, 2),
            "tokens_per_s": round(self.tokens / self.seconds, 1),
            "p50_ms": round(p50, 3),
            "p90_ms": round(p90, 3),
            "p99_ms": round(p99, 3),
        }


async def closed_loop(
    call: Call, requests: Sequence[Request], in_flight: int, seconds: float, *, once: bool = False
) -> Run:
    """`in_flight` callers, each sending its next request when the last is answered, none after `seconds`.

    Requests are sent over and over, or each of them once.

    An error ends the run: a system that refuses has not done the work.
    """
    run = Run()
    waiting = iter(requests) if once else itertools.cycle(requests)
    started = time.perf_counter()

    async def caller() -> None:
        while (sent := time.perf_counter()) - started < seconds:
            if (request := next(waiting, None)) is None:
                return
            await call(request)
            run.count(request, time.perf_counter() - sent)

    async with asyncio.TaskGroup() as callers:
        for _ in range(in_flight):
            callers.create_task(caller())
    run.seconds = time.perf_counter() - started
    return run


async def open_loop(call: Call, requests: Sequence[Request], rate: float, seconds: float, seed: int) -> Run:
    """Requests at Poisson times, `rate` a second, whatever the answers take; latency counts from the scheduled time."""
    run = Run()
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds)))
    started = time.perf_counter()

    async def send(request: Request, due: float) -> None:
        run.late.append(time.perf_counter() - due)
        try:
            await call(request)
        except grpc.RpcError:
            run.errors += 1
        else:
            run.count(request, time.perf_counter() - due)

    async with asyncio.TaskGroup() as callers:
        for arrival, request in zip(arrivals, itertools.cycle(requests), strict=False):
            due = started + float(arrival)
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            callers.create_task(send(request, due))
    run.seconds = time.perf_counter() - started
    return run
