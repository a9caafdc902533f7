"""Fit probabilities and the weight of recall to a judged set, and store them with collections."""

import argparse
import asyncio
from pathlib import Path

from siftline.cli import server
from siftline.cli.numbers import positive, share
from siftline.client import AsyncClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="BEIR_DIR")
    parser.add_argument("--split", help="file in qrels/ (default: test, or the only one)")
    parser.add_argument(
        "--queries", type=positive, default=500, metavar="N", help="drawn at random (default %(default)s)"
    )
    parser.add_argument("--distractors", type=Path, nargs="+", default=[], metavar="DIR")
    parser.add_argument("--store", nargs="+", default=[], metavar="COLLECTION", help="collections that get the result")
    parser.add_argument("--keep-weight", action="store_true", help="do not store the weight of recall")
    parser.add_argument("--recall", choices=("vector", "hybrid"), default="vector", help="default %(default)s")
    parser.add_argument(
        "--depth", type=positive, default=50, metavar="N", help="passages reranked (default %(default)s)"
    )
    parser.add_argument(
        "--unanswerable", type=share, default=0.3, help="share of queries whose answers are hidden (default 0.3)"
    )
    parser.add_argument("--precision", type=share, default=0.9, help="wanted of the first passage (default 0.9)")
    parser.add_argument(
        "--rejection", type=share, default=0.9, help="wanted of queries without an answer (default 0.9)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--concurrency", type=positive, default=4, metavar="N", help="searches at once (default 4)")
    parser.add_argument("--out", type=Path, help="folder of the report (default: build/calibration/SET-SPLIT)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    server.add_address(parser)


def run(options: argparse.Namespace) -> int:
    asyncio.run(_calibrate(options))
    return 0


async def _calibrate(options: argparse.Namespace) -> None:
    from siftline.evaluation import calibration_page, dataset
    from siftline.evaluation.calibrate import Asked, calibrate
    from siftline.evaluation.progress import Shown

    judged = dataset.read(options.dataset, options.split, options.distractors)
    asked = Asked(
        recall=options.recall,
        depth=options.depth,
        unanswerable=options.unanswerable,
        precision=options.precision,
        rejection=options.rejection,
        concurrency=options.concurrency,
        seed=options.seed,
    )
    async with AsyncClient(**server.connection(options)) as client:
        for name in options.store:
            await client.get_collection(name)  # a name that is wrong should not be found out at the end
        with Shown(hidden=options.quiet) as bars:
            report = await calibrate(client, judged.sample(options.queries, options.seed), asked, bars)
        for name in options.store:
            weight = None if options.keep_weight else report.weight.value
            await client.set_calibration(name, report.calibration, recall_weight=weight)
    folder = options.out or Path("build/calibration") / f"{judged.name}-{judged.split}"
    calibration_page.write(report, folder)
    print((folder / "calibration.md").read_text())
    print(f"written to {folder}; stored with {', '.join(options.store) or 'no collection'}")
