"""`python -m tests.clients.run PROGRAM TRUTH.json`: every check of a program, in the environment of the clients.

Prints what was done, one line of JSON a check.
"""

import asyncio
import importlib
import inspect
import json
import sys
from pathlib import Path

from tests.clients.truth import Truth


def main() -> None:
    program = importlib.import_module(f"tests.clients.programs.{sys.argv[1]}")
    truth = Truth.read(Path(sys.argv[2]))
    for name, check in list(vars(program).items()):
        if not name.startswith("check_"):
            continue
        result = check(truth)
        if inspect.iscoroutine(result):
            asyncio.run(result)
        print(json.dumps({"check": name, "what": inspect.getdoc(check)}), flush=True)


if __name__ == "__main__":
    main()
