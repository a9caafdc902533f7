"""Search a collection and print the best passages."""

import argparse
import json
from dataclasses import asdict

from siftline.cli import server
from siftline.client import Client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("collection")
    parser.add_argument("query")
    parser.add_argument("--top-k", "-k", type=int, default=10, help="how many passages to show (default %(default)s)")
    parser.add_argument(
        "--recall-depth", type=int, default=0, help="how many passages to rerank (default: the server's)"
    )
    parser.add_argument("--recall", choices=("vector", "bm25", "hybrid"), default="vector", help="default %(default)s")
    parser.add_argument("--words-weight", type=float, help="share of the BM25 list with --recall hybrid (default: 0.5)")
    parser.add_argument("--no-rerank", action="store_true", help="recall order, without the second stage")
    parser.add_argument("--filter", default="", help='on metadata, for example: kind = "function"')
    parser.add_argument("--min-score", type=float, help="leave out passages that score less")
    parser.add_argument(
        "--min-probability", type=float, help="leave out passages that are less probable (see siftline calibrate)"
    )
    parser.add_argument("--collapse", default="", metavar="FIELD", help="show each value of this metadata once")
    parser.add_argument("--adaptive", action="store_true", help="stop reranking once it changes nothing any more")
    parser.add_argument("--explain", action="store_true", help="both lists of the first stage too, with --json")
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    server.add_address(parser)


def run(options: argparse.Namespace) -> int:
    with Client(**server.connection(options)) as client:
        result = client.search(
            options.collection,
            options.query,
            top_k=options.top_k,
            recall_depth=options.recall_depth,
            recall=options.recall,
            words_weight=options.words_weight,
            rerank=not options.no_rerank,
            filter=options.filter,
            min_score=options.min_score,
            min_probability=options.min_probability,
            collapse=options.collapse,
            adaptive=options.adaptive,
            explain=options.explain,
        )
    if options.json:
        print(json.dumps(asdict(result), ensure_ascii=False, indent=2))
    else:
        from siftline.cli import answer

        answer.show(options.query, result)
    return 0
