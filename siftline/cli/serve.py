"""Start the stack on models that are exported already, and serve until Ctrl-C."""

import argparse

from siftline.cli import stack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    stack.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    return stack.run(lambda: _serve(options))


async def _serve(options: argparse.Namespace) -> None:
    from local.stack import running

    async with running(stack.settings(options)) as endpoints:
        stack.show(endpoints, options.state)
        await stack.wait_for_signal()
