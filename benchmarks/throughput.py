"""How many texts a second, against the peers: siftline, peer, siftline, peer, ... with n requests in flight.

The client runs on the same cores and its work counts for both sides. A ratio is that of real tokens per second, pair
by pair. Before anything is timed, the answers are compared.
"""

import argparse
import asyncio
import itertools
import json
import statistics
from collections.abc import AsyncIterator, Sequence
from typing import Any

from benchmarks import plan
from benchmarks.systems import Answering, agreement, measured, running
from benchmarks.workloads import Workload

AGREEMENT = 0.999
CHECKED_REQUESTS = 3
WARM_SECONDS = 4.0


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one run")
    parser.add_argument("--workloads", nargs="*", default=[name for names in plan.COMPARED.values() for name in names])
    parser.add_argument("--peers", nargs="*", help="default: all")
    options = parser.parse_args()
    bench = plan.Bench.open()
    runs: list[dict[str, Any]] = []
    ratios: list[dict[str, Any]] = []
    for task, names in plan.COMPARED.items():
        workloads = [bench.workload(name) for name in options.workloads if name in names]
        if workloads:
            async for found in _compare(task, workloads, options):
                runs += found
                ratios.append(ratio_facts(found[0]["workload"], found[1]["system"], found))
                print(json.dumps(ratios[-1]), flush=True)
                plan.save("throughput", {"runs": runs, "ratios": ratios})


async def _compare(
    task: str, workloads: Sequence[Workload], options: argparse.Namespace
) -> AsyncIterator[list[dict[str, Any]]]:
    """The runs of ours and of one peer in turn, for each workload and peer."""
    ours = plan.service(task)
    peers = {name: peer for name, peer in plan.peers(task).items() if options.peers is None or name in options.peers}
    async with running(ours, *peers.values()):
        for workload, (name, peer) in itertools.product(workloads, peers.items()):
            if plan.makes_sense(name, workload.name):
                yield await compare(ours, peer, workload, options.pairs, options.seconds)


async def compare(
    ours: Answering, peer: Answering, workload: Workload, pairs: int, seconds: float
) -> list[dict[str, Any]]:
    """Runs of ours and of the peer in turn."""
    checked = workload.requests[:CHECKED_REQUESTS]
    worst = agreement(await ours.answer(checked), await peer.answer(checked))
    if worst < AGREEMENT:
        raise RuntimeError(f"{workload.name}: cosine {worst:.5f} between {ours.name} and {peer.name}")
    in_flight = plan.IN_FLIGHT[workload.name]
    for system in (ours, peer):
        await system.run(workload, in_flight, WARM_SECONDS)
    runs = []
    for _ in range(pairs):
        for system in (ours, peer):
            runs.append(await measured(system, workload, in_flight, seconds) | {"agreement": round(worst, 6)})
    return runs


def ratio_facts(workload: str, peer: str, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Median, lowest and highest ratio of the pairs; `runs` are ours and theirs in turn."""
    found = [a["tokens_per_s"] / b["tokens_per_s"] for a, b in zip(runs[::2], runs[1::2], strict=True)]
    return {
        "workload": workload,
        "peer": peer,
        "ratio": round(statistics.median(found), 3),
        "pairs": len(found),
        "low": round(min(found), 3),
        "high": round(max(found), 3),
        "texts_per_s": round(statistics.median(run["texts_per_s"] for run in runs[::2]), 1),
        "peer_texts_per_s": round(statistics.median(run["texts_per_s"] for run in runs[1::2]), 1),
    }


if __name__ == "__main__":
    asyncio.run(main())
