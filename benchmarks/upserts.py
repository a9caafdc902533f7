"""What does an Upsert of one document take, and against the code of another commit? Two gateways, in turns.

`--against FOLDER`, a checkout: the other gateway runs from there. Each has an index of its own; both have one embed
service. A turn writes documents one after the other: new ones, whose vectors are computed, then the same again.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import grpc

from benchmarks.gateway import Gateway
from benchmarks.ours import Service
from siftline.search.v1 import search_pb2 as pb
from siftline.search.v1 import search_pb2_grpc

FILE = Path("benchmarks/results/upserts.json")
MODEL = Path("build/models/all-minilm-l6-v2")
COLLECTION = "written"
KINDS = ("new", "again")
DURABILITIES = {"memory": pb.DURABILITY_MEMORY, "fsync": pb.DURABILITY_FSYNC}

# Median milliseconds by durability and kind.
Medians = dict[str, float]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--documents", type=int, default=60, help="of one turn")
    options = parser.parse_args()
    embed = Service("embed", MODEL)
    theirs = {"PYTHONPATH": str(options.against.resolve()), "PYTHONSAFEPATH": "1"}
    here, there = Gateway(embed, cached=False), Gateway(embed, cached=False, environment=theirs)
    await embed.start()
    try:
        await here.start()
        await there.start()
        pairs = await measured(here, there, options.pairs, options.documents)
    finally:
        await there.stop()
        await here.stop()
        await embed.stop()
    print(written(pairs, options.documents))


async def measured(here: Gateway, there: Gateway, pairs: int, documents: int) -> list[tuple[Medians, Medians]]:
    """By pair; the first pair warms up and is left out."""
    async with grpc.aio.insecure_channel(here.address) as one, grpc.aio.insecure_channel(there.address) as other:
        stubs = [search_pb2_grpc.SearchServiceStub(channel) for channel in (one, other)]
        for stub in stubs:
            await stub.CreateCollection(pb.CreateCollectionRequest(name=COLLECTION))
        found = []
        for pair in range(pairs + 1):
            turns = {stub: await turn(stub, pair, documents) for stub in (stubs if pair % 2 else stubs[::-1])}
            found.append((turns[stubs[0]], turns[stubs[1]]))
    return found[1:]


async def turn(stub: search_pb2_grpc.SearchServiceStub, pair: int, documents: int) -> Medians:
    medians = {}
    for name, durability in DURABILITIES.items():
        requests = [pb.UpsertRequest(collection=COLLECTION, durability=durability) for _ in range(documents)]
        for number, request in enumerate(requests):
            request.documents.add(
                id=f"{pair} {name} {number}", text=f"Passage {number} of pair {pair}, kept in {name}."
            )
        for kind in KINDS:
            medians[f"{kind}, {name}"] = statistics.median([await milliseconds(stub, one) for one in requests])
    return medians


async def milliseconds(stub: search_pb2_grpc.SearchServiceStub, request: pb.UpsertRequest) -> float:
    started = time.perf_counter()
    await stub.Upsert(request)
    return 1000 * (time.perf_counter() - started)


def written(pairs: Sequence[tuple[Medians, Medians]], documents: int) -> str:
    rows = {}
    for name in pairs[0][0]:
        ratios = sorted(here[name] / there[name] for here, there in pairs)
        rows[name] = {
            "median_ms": [round(statistics.median(one[name] for one in side), 2) for side in zip(*pairs, strict=True)],
            "ratio": round(statistics.median(ratios), 3),
            "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
        }
    figures = {"date": str(date.today()), "pairs": len(pairs), "documents": documents, "rows": rows}
    FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return json.dumps(figures, indent=1)


if __name__ == "__main__":
    asyncio.run(main())
