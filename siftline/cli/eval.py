"""Measure recall and two-stage search on a judged set (BEIR layout), through the server that runs."""

import argparse
import asyncio
from contextlib import nullcontext
from pathlib import Path

from siftline.cli import server
from siftline.cli.numbers import count, positive
from siftline.client import AsyncClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="BEIR_DIR")
    parser.add_argument("--split", help="file in qrels/ (default: test, or the only one)")
    parser.add_argument("--queries", type=positive, metavar="N", help="a random part of the queries (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the queries drawn and of the bootstrap (default 0)")
    parser.add_argument(
        "--distractors", type=Path, nargs="+", default=[], metavar="DIR", help="sets whose passages are searched too"
    )
    parser.add_argument(
        "--recall",
        nargs="+",
        choices=("vector", "bm25", "hybrid"),
        default=["vector", "bm25", "hybrid"],
        help="first stages; all is compared with the first one (default: all)",
    )
    parser.add_argument(
        "--depths",
        nargs="*",
        type=positive,
        default=[10, 20, 50],
        metavar="N",
        help="passages to rerank; none for no second stage (default 10 20 50)",
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=positive,
        default=[],
        metavar="N",
        help="smaller corpora to search besides the whole",
    )
    parser.add_argument("--cutoffs", nargs="+", type=positive, default=[1, 5, 10], metavar="K", help="default 1 5 10")
    parser.add_argument("--recall-weight", type=float, metavar="W", help="order by logit + W * cosine")
    parser.add_argument(
        "--language", default="english", help="of the passages: how words are stemmed (default english)"
    )
    parser.add_argument("--concurrency", type=positive, default=4, metavar="N", help="searches at once (default 4)")
    parser.add_argument(
        "--latency-searches", type=count, default=50, metavar="N", help="timed one by one, per method (default 50)"
    )
    parser.add_argument("--out", type=Path, help="folder of the report (default: build/eval/SET-SPLIT)")
    parser.add_argument(
        "--trace", type=argparse.FileType("w"), metavar="FILE", help="write what every search found, as JSON lines"
    )
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="FILE",
        help="take what was found from such a file: what it lacks is searched; for other weights and depths",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    server.add_address(parser)


def run(options: argparse.Namespace) -> int:
    asyncio.run(_eval(options))
    return 0


async def _eval(options: argparse.Namespace) -> None:
    from siftline.evaluation import dataset, publishing
    from siftline.evaluation.evaluate import Evaluation
    from siftline.evaluation.progress import Shown
    from siftline.evaluation.report import Plan

    judged = dataset.read(options.dataset, options.split, options.distractors)
    plan = Plan(
        recalls=tuple(dict.fromkeys(options.recall)),
        depths=tuple(dict.fromkeys(options.depths)),
        sizes=tuple(options.sizes),
        cutoffs=tuple(dict.fromkeys(options.cutoffs)),
        concurrency=options.concurrency,
        latency_searches=options.latency_searches,
        seed=options.seed,
        recall_weight=options.recall_weight,
        language=options.language,
    )
    sample = judged.sample(options.queries, options.seed)
    with Shown(hidden=options.quiet) as bars, options.trace or nullcontext() as record:
        async with AsyncClient(**server.connection(options)) as client:
            report = await Evaluation(client, sample, plan, bars, record=record, replay=options.replay).run()
    folder = options.out or Path("build/eval") / f"{judged.name}-{judged.split}"
    publishing.write(report, folder)
    print((folder / "report.md").read_text())
    print(f"written to {folder}")
