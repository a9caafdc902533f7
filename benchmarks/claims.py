"""What does `cache_claim_s` cost a query that the cache has not? Two gateways over one embed service, in turns.

Each turn embeds new texts one after the other through either gateway; the ratio of the medians is taken by pair.
"""

import argparse
import asyncio
import json
import statistics
import time
from datetime import date
from pathlib import Path

from benchmarks.gateway import Gateway
from benchmarks.ours import Service
from benchmarks.workloads import Request

FILE = Path("benchmarks/results/claims.json")
MODEL = Path("build/models/all-minilm-l6-v2")
CLAIM_S = 0.5


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--texts", type=int, default=150, help="of one turn")
    options = parser.parse_args()
    embed = Service("embed", MODEL)
    without, claiming = Gateway(embed, cached=True), Gateway(embed, cached=True, claim_s=CLAIM_S)
    await embed.start()
    try:
        await without.start()
        await claiming.start()
        pairs = await measured(without, claiming, options.pairs, options.texts)
    finally:
        await claiming.stop()
        await without.stop()
        await embed.stop()
    print(written(pairs, options.texts))


async def measured(without: Gateway, claiming: Gateway, pairs: int, texts: int) -> list[tuple[float, float]]:
    """Median milliseconds of a call, by pair; the first pair warms up and is left out."""
    found = []
    for pair in range(pairs + 1):
        order = (without, claiming) if pair % 2 else (claiming, without)
        times = {
            gateway: [await milliseconds(gateway, f"{pair} {place} {n}") for n in range(texts)]
            for place, gateway in enumerate(order)
        }
        found.append((statistics.median(times[without]), statistics.median(times[claiming])))
    return found[1:]


async def milliseconds(gateway: Gateway, number: str) -> float:
    request = Request((f"question number {number} that nobody has asked before",), 10)
    started = time.perf_counter()
    await gateway.call(request)
    return 1000 * (time.perf_counter() - started)


def written(pairs: list[tuple[float, float]], texts: int) -> str:
    ratios = sorted(claiming / without for without, claiming in pairs)
    figures = {
        "date": str(date.today()),
        "texts": texts,
        "median_ms_without": [round(one, 3) for one, _ in pairs],
        "median_ms_claiming": [round(other, 3) for _, other in pairs],
        "ratio": round(statistics.median(ratios), 4),
        "ratio_range": [round(ratios[0], 4), round(ratios[-1], 4)],
    }
    FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return json.dumps(figures)


if __name__ == "__main__":
    asyncio.run(main())
