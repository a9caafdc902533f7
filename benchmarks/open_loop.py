"""How long requests take when they come at random times, at 70 % of what the service can do.

Arrivals are Poisson, drawn beforehand, and latency counts from the scheduled time, so that waiting counts too. A run
whose client fell behind its own schedule says so (late_p99_ms).
"""

import argparse
import asyncio
import json
from typing import Any

import numpy as np

from benchmarks import plan
from benchmarks.loops import open_loop
from benchmarks.ours import Service
from benchmarks.systems import measured, running
from benchmarks.workloads import SEED, Workload

WORKLOADS = ("Q32x1", "MIXx1", "RR16")
WARM_SECONDS = 4.0
OFFLINE_SECONDS = 6.0
LOAD = 0.7
FEW_IN_FLIGHT = (1, 4, 16)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--workloads", nargs="*", default=WORKLOADS)
    options = parser.parse_args()
    bench = plan.Bench.open()
    rows: list[dict[str, Any]] = []
    for task in plan.MODELS:
        workloads = [bench.workload(name) for name in options.workloads]
        wanted = [workload for workload in workloads if workload.task == task]
        if wanted:
            service = plan.service(task)
            async with running(service):
                for workload in wanted:
                    rows.append(await _measure(service, workload, options.seconds))
                    print(json.dumps(rows[-1]), flush=True)
    plan.save("open_loop", rows)


async def _measure(service: Service, workload: Workload, seconds: float) -> dict[str, Any]:
    """Few in flight (unloaded: one at a time), offline, then Poisson."""
    in_flight = plan.IN_FLIGHT[workload.name]
    await service.run(workload, in_flight, WARM_SECONDS)
    closed = [await measured(service, workload, n, OFFLINE_SECONDS / 2) for n in FEW_IN_FLIGHT]
    alone = closed[0]
    offline = await measured(service, workload, in_flight, OFFLINE_SECONDS)
    rate = LOAD * offline["requests"] / offline["seconds"]
    run = await open_loop(service.call, workload.requests, rate, seconds, SEED)
    return {
        "workload": workload.name,
        "closed_loops": [*closed, offline],
        "unloaded_p50_ms": alone["p50_ms"],
        "offline_requests_per_s": round(offline["requests"] / offline["seconds"], 1),
        "requests_per_s": round(rate, 1),
        "p99_over_unloaded_p50": round(run.facts()["p99_ms"] / alone["p50_ms"], 2),
        "late_p99_ms": round(float(np.percentile(run.late, 99)) * 1e3, 3),
    } | run.facts()


if __name__ == "__main__":
    asyncio.run(main())
