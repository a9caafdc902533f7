"""Which server a command talks to."""

import argparse
import json
import os
from pathlib import Path

from siftline.client import DEFAULT_ADDRESS

ENDPOINTS = Path("build/run/endpoints.json")


def add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        default=default_address(),
        help="the gateway (default: SIFTLINE_ADDRESS, else the stack that runs in this folder; now %(default)s)",
    )


def default_address() -> str:
    if address := os.environ.get("SIFTLINE_ADDRESS"):
        return address
    try:
        return str(json.loads(ENDPOINTS.read_text())["gateway"])
    except (OSError, ValueError, KeyError):
        return DEFAULT_ADDRESS
