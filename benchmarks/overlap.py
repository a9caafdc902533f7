"""Does it pay to have a batch more in flight than there are engines? The service with a limit of 1, 2, 3, ... in turn.

With one, an engine waits while the next batch is tokenised, padded and sent; overlap is what the others gain.
"""

import argparse
import asyncio
import json
import statistics

from benchmarks import plan
from benchmarks.ours import Service
from benchmarks.systems import measured, running

WORKLOADS = ("Q32x32", "MIXx32")
LIMITS = (1, 2, 3, 4)
WARM_SECONDS = 3.0


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one run")
    options = parser.parse_args()
    bench = plan.Bench.open()
    services = {n: Service("embed", plan.EMBEDDER, f"in-flight-{n}", {"in-flight": n}) for n in LIMITS}
    rows = []
    async with running(*services.values()):
        for workload in map(bench.workload, WORKLOADS):
            in_flight = plan.IN_FLIGHT[workload.name]
            for service in services.values():
                await service.run(workload, in_flight, WARM_SECONDS)
            rates: dict[int, list[float]] = {n: [] for n in LIMITS}
            for _ in range(options.rounds):
                for n, service in services.items():
                    rates[n].append((await measured(service, workload, in_flight, options.seconds))["tokens_per_s"])
            rows += [
                {"workload": workload.name, "batches_in_flight": n, "tokens_per_s": statistics.median(found)}
                for n, found in rates.items()
            ]
    plan.save("overlap", rows)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
