"""Set up what is missing, start everything, index Python's documentation, answer a question, serve until Ctrl-C."""

import argparse

from siftline.cli import stack
from siftline.client import AsyncClient

QUESTION = "How do I count how often each element occurs in a list?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    stack.add_arguments(parser)
    parser.add_argument("--once", action="store_true", help="stop after the answer")
    parser.add_argument("--question", default=QUESTION, help="default: %(default)s")


def run(options: argparse.Namespace) -> int:
    return stack.run(lambda: _up(options))


async def _up(options: argparse.Namespace) -> None:
    from local import setting_up
    from local.stack import running
    from siftline.cli import answer

    await setting_up.export_default_models(options.models)
    async with running(stack.settings(options)) as endpoints:
        async with AsyncClient(endpoints.gateway) as client:
            await setting_up.index_python_documentation(client, options.state)
            answer.show(options.question, await client.search(setting_up.PYTHON_COLLECTION, options.question, top_k=5))
        if not options.once:
            stack.show(endpoints, options.state)
            await stack.wait_for_signal()
