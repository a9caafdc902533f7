"""Show the models in service and those of the catalogue: what each is, and whether it is exported here."""

import argparse
import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from siftline.cli import server
from siftline.client import Client
from siftline.errors import SiftlineError
from siftline.results import Model

if TYPE_CHECKING:
    from export.listing import Listed

EXPORTED = Path("build/models")
SECONDS = 5.0
_HEADINGS = ("", "name", "family", "dims", "tokens", "licence", "what it is")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--models", type=Path, default=EXPORTED, help="folder of exported models (default %(default)s)")
    server.add_address(parser)


def run(options: argparse.Namespace) -> int:
    """Works without a server, for the catalogue, and without a checkout, for the models in service."""
    listed = _listed(options.models)
    try:
        with Client(**server.connection(options), timeout=SECONDS) as client:
            running = {"embed": client.embed_model(), "rerank": client.rerank_model()}
    except SiftlineError:
        if not listed:
            raise
        running = {}
    if options.json:
        in_service = {stage: asdict(model) for stage, model in running.items()}
        print(json.dumps({"in_service": in_service, "catalogue": list(map(asdict, listed))}, indent=2))
        return 0
    for stage, model in running.items():
        print(f"{stage}: {describe(model)}")
    if not running:
        print(f"{options.address}: not serving")
    _print_table(listed, running)
    return 0


def describe(model: Model) -> str:
    size = f"{model.dimensions} dimensions, " if model.dimensions else ""
    return (
        f"{model.name}, {size}{model.max_tokens} tokens, {model.engine} {model.precision}, "
        f"licence {model.licence}, fingerprint {model.fingerprint}"
    )


def _listed(exported: Path) -> "list[Listed]":
    """Empty where siftline was installed without the catalogue."""
    try:
        from export.listing import models
    except ModuleNotFoundError:
        return []
    return models(exported)


def _print_table(listed: "list[Listed]", running: Mapping[str, Model]) -> None:
    """One model a line; what it is on the rest of the line, never wrapped."""
    names = {model.name for model in running.values()}
    rows = [_HEADINGS, *(_cells(model, names) for model in sorted(listed, key=lambda model: model.task))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if listed else ():
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cells(model: "Listed", in_service: set[str]) -> tuple[str, ...]:
    state = "in service" if model.name in in_service else "exported" if model.exported else ""
    numbers = (str(number) if number else "" for number in (model.dimensions, model.max_tokens))
    return (state, model.name, model.family, *numbers, model.licence, textwrap.shorten(model.summary, 100))
