"""Show whether the server is up, its models and its collections. Exit code 1 when it is not serving."""

import argparse
import json
from dataclasses import asdict

from siftline.cli import server
from siftline.cli.models import describe
from siftline.client import Client
from siftline.errors import SiftlineError

SECONDS = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")
    server.add_address(parser)


def run(options: argparse.Namespace) -> int:
    try:
        with Client(**server.connection(options), timeout=SECONDS) as client:
            models = {"embed": client.embed_model(), "rerank": client.rerank_model()}
            collections = client.list_collections()
    except SiftlineError as error:
        problem = " ".join(str(error).split())
        facts = {"address": options.address, "serving": False, "error": problem}
        print(json.dumps(facts) if options.json else f"{options.address}: not serving: {problem}")
        return 1
    if options.json:
        facts = {
            "address": options.address,
            "serving": True,
            "models": {stage: asdict(model) for stage, model in models.items()},
            "collections": [asdict(collection) for collection in collections],
        }
        print(json.dumps(facts, indent=2))
        return 0
    print(f"{options.address}: serving")
    for stage, model in models.items():
        print(f"  {stage}: {describe(model)}")
    for collection in collections:
        print(f"  collection {collection.name}: {collection.count} documents of {collection.model}")
    return 0
