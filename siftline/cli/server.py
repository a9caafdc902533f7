"""Which server a command talks to, and how."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from siftline.client import DEFAULT_ADDRESS
from siftline.tls import TLS

_FILES = {
    "ca": "authorities that the gateway's certificate comes from",
    "cert": "certificate to show to a gateway that asks for one",
    "key": "that certificate's key",
}
ENDPOINTS = Path("build/run/endpoints.json")


def add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        default=default_address(),
        help="the gateway (default: SIFTLINE_ADDRESS, else the stack that runs in this folder; now %(default)s)",
    )
    parser.add_argument(
        "--tls", action="store_true", help="speak TLS and trust public authorities; implied by the other --tls flags"
    )
    for name, what in _FILES.items():
        variable = f"SIFTLINE_TLS_{name.upper()}"
        parser.add_argument(
            f"--tls-{name}", metavar="PEM", default=os.environ.get(variable), help=f"{what} (default: {variable})"
        )


def connection(options: argparse.Namespace) -> dict[str, Any]:
    """For `Client(**...)` and `AsyncClient(**...)`."""
    files = TLS(options.tls_ca, options.tls_cert, options.tls_key)
    return {"address": options.address, "tls": files if options.tls or files != TLS() else None}


def default_address() -> str:
    if address := os.environ.get("SIFTLINE_ADDRESS"):
        return address
    return endpoint("gateway") or DEFAULT_ADDRESS


def endpoint(part: str) -> str:
    """Address of a part of the stack that runs in this folder; empty when none does."""
    try:
        return str(json.loads(ENDPOINTS.read_text())[part])
    except (OSError, ValueError, KeyError):
        return ""
