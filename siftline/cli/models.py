"""Show the models in service: what they are, what they take, what they run on."""

import argparse
import json
from dataclasses import asdict

from siftline.cli import server
from siftline.client import Client
from siftline.results import Model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")
    server.add_address(parser)


def run(options: argparse.Namespace) -> int:
    with Client(options.address) as client:
        models = {"embed": client.embed_model(), "rerank": client.rerank_model()}
    if options.json:
        print(json.dumps({stage: asdict(model) for stage, model in models.items()}, indent=2))
    else:
        for stage, model in models.items():
            print(f"{stage}: {describe(model)}")
    return 0


def describe(model: Model) -> str:
    size = f"{model.dimensions} dimensions, " if model.dimensions else ""
    return (
        f"{model.name}, {size}{model.max_tokens} tokens, {model.engine} {model.precision}, "
        f"licence {model.licence}, fingerprint {model.fingerprint}"
    )
