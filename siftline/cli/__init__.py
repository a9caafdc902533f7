"""The command line: `siftline COMMAND`. One file per command; each adds its own arguments and runs itself."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from siftline.cli import cache, calibrate, eval, export, index, models, plan, rollout, search, serve, status, up
from siftline.documents import UnreadableSource
from siftline.errors import SiftlineError

COMMANDS = (up, serve, export, index, search, status, models, eval, calibrate, rollout, plan, cache)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 for a wrong command line; 1, with one line on stderr, for what went wrong; 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (SiftlineError, UnreadableSource) as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        return _fail(_missing(error))
    except BrokenPipeError:
        sys.stderr.close()  # or Python complains about the pipe once more on its way out
        return 1
    except OSError as error:
        return _fail(f"{error.filename or 'error'}: {error.strerror or error}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("siftline", description="Two-stage retrieval: embed, recall, rerank.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        summary = (command.__doc__ or "").strip().partition("\n")[0]
        own = commands.add_parser(name, help=summary, description=summary)
        command.add_arguments(own)
        own.set_defaults(run=command.run)
    return parser


def _missing(error: ModuleNotFoundError) -> str:
    package = (error.name or "").partition(".")[0]
    if package in ("local", "serving", "export"):
        return "this command runs from a checkout of siftline, with its virtual environment (see README.md)"
    if package in ("pytrec_eval", "matplotlib", "sklearn"):
        return f"the package {package} is not installed: pip install 'siftline[eval]'"
    if package == "rich":
        return "the package rich is not installed: pip install 'siftline[cli]'"
    return str(error)


def _fail(message: str) -> int:
    print(f"siftline: {' '.join(message.split())}", file=sys.stderr)
    return 1
