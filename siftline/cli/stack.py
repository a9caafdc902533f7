"""What `siftline up` and `siftline serve` share: where the stack's parts lie, and how it is run and stopped."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.endpoints import Endpoints
    from local.settings import StackSettings

EMBED_MODEL, RERANK_MODEL = "all-minilm-l6-v2", "siftline-minilm-l6-reranker"
# Fitted for these two (see docs/evaluation.md); what it should be for others, `siftline calibrate` finds.
RECALL_WEIGHT = 15.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", type=Path, default=Path("build/models"), help="exported models (default %(default)s)"
    )
    parser.add_argument("--embed-model", default=EMBED_MODEL, metavar="NAME", help="default %(default)s")
    parser.add_argument("--rerank-model", default=RERANK_MODEL, metavar="NAME", help="default %(default)s")
    parser.add_argument(
        "--state",
        type=Path,
        default=Path("build"),
        help="folder of logs, endpoints.json and index (default %(default)s)",
    )
    parser.add_argument("--redis-url", default="", help="a Redis 8, or one with the search module, instead of our own")
    parser.add_argument(
        "--port-base", type=int, help="first of fourteen consecutive ports; 0 for free ones (default: see README.md)"
    )


def settings(options: argparse.Namespace) -> "StackSettings":
    from local import ports
    from local.settings import StackSettings

    return StackSettings(
        embed_model=options.models / options.embed_model,
        rerank_model=options.models / options.rerank_model,
        ports=ports.Ports() if options.port_base is None else ports.from_base(options.port_base),
        state=options.state,
        redis_url=options.redis_url,
        recall_weight=RECALL_WEIGHT
        if (options.embed_model, options.rerank_model) == (EMBED_MODEL, RERANK_MODEL)
        else 0.0,
    )


def run(main: Callable[[], Awaitable[None]]) -> int:
    """Runs to the end, or until a signal; exit code 2, with one line on stderr, for what could not start."""
    from serving.errors import SiftlineError

    try:
        asyncio.run(_ended_by_signal(main))
    except SiftlineError as error:
        print(f"siftline: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


async def wait_for_signal() -> None:
    """Returns at Ctrl-C or SIGTERM; from then on another one changes nothing, so that stopping is not disturbed."""
    told = asyncio.Event()
    _on_signal(told.set)
    await told.wait()
    print("stopping", flush=True)


def show(endpoints: "Endpoints", state: Path) -> None:
    """Prints where everything is."""
    lines = {
        "gateway": f"{endpoints.gateway}   metrics {endpoints.gateway_metrics}",
        "http": f"{endpoints.gateway_http}/   search page; API at {endpoints.gateway_http}/docs",
        "embed": f"{endpoints.embed}   metrics {endpoints.embed_metrics}",
        "rerank": f"{endpoints.rerank}   metrics {endpoints.rerank_metrics}",
        "triton": f"{endpoints.embed_triton.grpc} (embed), {endpoints.rerank_triton.grpc} (rerank)",
        "redis": endpoints.redis,
    }
    for name, line in lines.items():
        print(f"{name:8} {line}")
    print(f"all of them in {state / 'run' / 'endpoints.json'}, logs beside it; Ctrl-C stops everything", flush=True)


async def _ended_by_signal(main: Callable[[], Awaitable[None]]) -> None:
    """The first signal during the start cancels it, also where Ctrl-C was to be ignored (a shell's `&`)."""
    task = asyncio.current_task()
    assert task is not None

    def stop() -> None:
        _on_signal(lambda: None)
        task.cancel()

    _on_signal(stop)
    await main()


def _on_signal(handler: Callable[[], object]) -> None:
    """Instead of what was to happen until now at Ctrl-C and at SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, handler)
