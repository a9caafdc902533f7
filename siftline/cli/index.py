"""Index a .jsonl file, a BEIR folder or a folder of text; start it again to continue after an interruption."""

import argparse
import asyncio
import json
import re
import time
from pathlib import Path
from typing import get_args

from siftline import documents, indexing
from siftline.chunking import Chunking
from siftline.cli import server
from siftline.client import AsyncClient
from siftline.results import FieldType


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="FILE.jsonl|BEIR_DIR|FOLDER")
    parser.add_argument("--collection", "-c", help="default: the name of the source")
    parser.add_argument(
        "--field",
        action="append",
        default=[],
        type=_field,
        metavar="NAME:tag|number|time|geo",
        help="metadata to filter by, for a collection that is created; may be repeated",
    )
    parser.add_argument(
        "--chunk-tokens",
        type=int,
        default=0,
        help="cut documents into so many tokens; search with --collapse parent",
    )
    parser.add_argument("--chunk-overlap", type=int, default=32, help="tokens that a chunk shares with the one before")
    parser.add_argument("--language", default="english", help="of a collection that is created: how words are stemmed")
    parser.add_argument("--json", action="store_true", help="no progress bar; print what was done as JSON")
    server.add_address(parser)


def run(options: argparse.Namespace) -> int:
    asyncio.run(_index(options))
    return 0


async def _index(options: argparse.Namespace) -> None:
    from siftline.cli.progress import bar

    read = documents.source(options.source)
    collection = options.collection or collection_name(options.source)
    started = time.monotonic()
    total = sum(1 for _ in read())
    async with AsyncClient(**server.connection(options)) as client:
        with bar(collection, total, hidden=options.json) as report:
            done = await indexing.index(
                client,
                collection,
                read(),
                fields=dict(options.field),
                language=options.language,
                chunking=_chunking(options),
                report=report,
            )
    if options.json:
        facts = {"collection": collection, "documents": total, "written": done.written, "unchanged": done.unchanged}
        print(json.dumps(facts | {"tokens": done.tokens, "seconds": round(time.monotonic() - started, 3)}))
    else:
        print(f"{collection}: {done.written} documents written, {done.unchanged} were there already")


def _chunking(options: argparse.Namespace) -> Chunking | None:
    if not options.chunk_tokens:
        return None
    try:
        return Chunking(options.chunk_tokens, options.chunk_overlap)
    except ValueError as error:
        raise documents.UnreadableSource(str(error)) from error


def collection_name(source: Path) -> str:
    """The source's name in the characters that a collection's name may have."""
    stem = source.resolve().name.removesuffix(".gz").removesuffix(".jsonl").lower()
    return re.sub(r"[^a-z0-9_-]+", "-", stem).strip("-_")[:63] or "documents"


def _field(argument: str) -> tuple[str, FieldType]:
    name, _, kind = argument.partition(":")
    for known in get_args(FieldType):
        if kind == known:
            return name, known
    raise argparse.ArgumentTypeError(f"{argument!r} is not NAME:{'|'.join(get_args(FieldType))}")
