"""Show, fill or empty the gateway's embedding cache."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from siftline.cli import server
from siftline.client import Client
from siftline.documents import UnreadableSource

BATCH = 32
SECONDS = 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    stats = actions.add_parser("stats", help="entries and bytes by model")
    stats.add_argument("--model", metavar="FINGERPRINT", default="", help="of this model only")
    stats.set_defaults(act=_stats)
    warm = actions.add_parser("warm", help="embed queries, so that the cache has them")
    warm.add_argument("file", type=Path, help="one query a line")
    warm.add_argument("--model", metavar="NAME", default="", help="fail unless this model is in service")
    warm.set_defaults(act=_warm)
    purge = actions.add_parser("purge", help="forget vectors")
    which = purge.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", metavar="FINGERPRINT", help="those of this model")
    which.add_argument("--all", action="store_true", help="those of all models")
    purge.set_defaults(act=_purge)
    for action in (stats, warm, purge):
        server.add_address(action)


def run(options: argparse.Namespace) -> int:
    with Client(**server.connection(options)) as client:
        options.act(client.with_timeout(SECONDS), options)
    return 0


def _stats(client: Client, options: argparse.Namespace) -> None:
    held = client.cache_stats()
    models = [one for one in held.models if options.model.startswith(one.fingerprint) or not options.model]
    print(json.dumps({"models": [asdict(one) for one in models], "hit_ratio": round(held.hit_ratio, 4)}, indent=2))


def _warm(client: Client, options: argparse.Namespace) -> None:
    computed = found = 0
    for queries in _batches(options.file):
        done = client.embed_with_details(queries, side="query", dtype="float16", priority="bulk", model=options.model)
        computed, found = computed + len(queries) - done.cached, found + done.cached
    print(f"{computed} queries embedded, {found} were there already")


def _purge(client: Client, options: argparse.Namespace) -> None:
    print(f"{client.cache_purge(options.model or '')} entries removed")


def _batches(file: Path) -> Iterator[list[str]]:
    try:
        queries = iter([line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()])
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableSource(f"{file}: {error}") from error
    while batch := list(islice(queries, BATCH)):
        yield batch
