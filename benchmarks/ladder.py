"""What each layer costs: the same texts through one layer more at a time, each rung in turn, several rounds.

bare-ort              the batches that the batcher forms, computed by ONNX Runtime in two processes
bare-ort + tokenise   the texts: tokenised, sorted and batched in those processes
triton                the same batches through tritonserver over gRPC
siftline              the service over gRPC
gateway               the gateway in front of it, without and with a cache that knows the texts
"""

import argparse
import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import plan, recording
from benchmarks.bare_ort import BareOrt
from benchmarks.gateway import Gateway
from benchmarks.loops import Run, closed_loop
from benchmarks.ours import Service
from benchmarks.systems import System, measured, running
from benchmarks.throughput import ratio_facts
from benchmarks.workloads import Request, Workload
from serving.batching import Batch
from serving.triton import OUTPUTS, TritonEngine

FULL, LOW, CACHE = "MIXx32", "Q32x1", "P128x32"
WARM_SECONDS = 3.0


class Triton(System):
    """Ready batches straight to the service's own tritonserver, one more in flight than it has engines."""

    name = "triton"

    def __init__(self, service: Service, model: str, batches: Sequence[Batch]) -> None:
        self._service = service
        self._model = model
        self._requests = [Request(("",) * batch.rows, batch.tokens) for batch in batches]
        self._batches = {id(request): batch for request, batch in zip(self._requests, batches, strict=True)}
        self._computed = {"real": 0.0, "padding": 0.0}

    async def start(self) -> None:
        self._engine = TritonEngine(self._service.triton, self._model, OUTPUTS["embed"], timeout=60.0)

    async def stop(self) -> None:
        await self._engine.close()

    async def run(self, workload: Workload, in_flight: int, seconds: float) -> Run:
        """Latencies are those of batches."""
        return await closed_loop(self._compute, self._requests, 3, seconds)

    def cpu_seconds(self) -> dict[str, float]:
        return self._service.cpu_seconds()

    async def tokens_computed(self) -> dict[str, float]:
        return dict(self._computed)

    async def _compute(self, request: Request) -> NDArray[np.float32]:
        batch = self._batches[id(request)]
        self._computed["real"] += batch.tokens
        self._computed["padding"] += batch.computed - batch.tokens
        return (await self._engine.run(batch))[0]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one run")
    options = parser.parse_args()
    bench = plan.Bench.open()
    service = plan.service("embed")
    async with running(service):
        full = bench.workload(FULL)
        batch_tokens = plan.batch_tokens(plan.EMBEDDER)
        limits = recording.limits_of(batch_tokens, longest=recording.longest(plan.EMBEDDER))
        batches = await recording.record(full, plan.IN_FLIGHT[FULL], plan.EMBEDDER, limits)
        rungs = (
            BareOrt(plan.EMBEDDER, batch_tokens, batches),
            BareOrt(plan.EMBEDDER, batch_tokens),
            Triton(service, service.model.name, batches),
        )
        plain, caching = Gateway(service, cached=False), Gateway(service, cached=True)
        async with running(*rungs, plain, caching):
            rounds: list[tuple[list[System], Workload, int]] = [
                ([*rungs, service, plain], full, plan.IN_FLIGHT[FULL]),
                ([service, plain], bench.workload(LOW), 1),
                ([plain, caching], bench.workload(CACHE), plan.IN_FLIGHT[CACHE]),
            ]
            runs = [run for systems, workload, n in rounds for run in await _rounds(systems, workload, n, options)]
    found = {"rungs": _medians(runs), "ratios": _ratios(runs)}
    plan.save("ladder", found)
    print(json.dumps(found, indent=1))


async def _rounds(
    systems: Sequence[System], workload: Workload, in_flight: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    for system in systems:
        await system.run(workload, in_flight, WARM_SECONDS)
    return [
        await measured(system, workload, in_flight, options.seconds)
        for _ in range(options.rounds)
        for system in systems
    ]


def _medians(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each rung of each workload: the run with the median rate."""
    rows: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for run in runs:
        rows.setdefault((run["workload"], run["system"], run["in_flight"]), []).append(run)
    return [sorted(row, key=lambda run: float(run["tokens_per_s"]))[len(row) // 2] for row in rows.values()]


def _ratios(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The service over each rung below it, round by round."""
    full: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if run["workload"] == FULL:
            full.setdefault(run["system"], []).append(run)
    below = [name for name in full if name not in ("siftline", "gateway")]
    pairs = {name: zip(full["siftline"], full[name], strict=True) for name in below}
    return [ratio_facts(FULL, name, list(itertools.chain.from_iterable(found))) for name, found in pairs.items()]


if __name__ == "__main__":
    asyncio.run(main())
