"""The examples of docs/frameworks.md, as they stand there, against the running stack."""

import re
from pathlib import Path

import pytest

import siftline
from tests.running.stack import RunningStack

PAGE = Path("docs/frameworks.md")


def test_every_example_runs(shared_stack: RunningStack, capsys: pytest.CaptureFixture[str]) -> None:
    address = shared_stack.endpoints["gateway"]
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    known: dict[str, object] = {}
    try:
        for number, example in enumerate(examples):
            code = example.replace("127.0.0.1:50050", address).replace('"notes"', '"frameworks-page"')
            exec(compile(code, f"{PAGE}, example {number}", "exec"), known)
    finally:
        with siftline.Client(address) as client:
            client.drop_collection("frameworks-page")
    assert len(examples) == 4
    printed = capsys.readouterr().out
    assert printed.count("A duck can swim.") == 3
    assert printed.count("Batches are formed by tokens.") == 3
