"""Every operation of the OpenAPI document, asked by schemathesis: no failure of ours, and no answer that the document
does not tell of: statuses, media types, bodies, methods, and a key where one is needed.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import gateway, http
from tests.running.fuzzing import INPUTS
from tests.running.stack import RunningStack

KEY = "sk-openapi"
KEYS = """
[[keys]]
name = "openapi"
sha256 = "{digest}"
scopes = ["embed", "rerank", "search", "write", "admin"]
tenant = "openapi"
"""
PROGRAM = Path(sys.executable).with_name("st")
SETTINGS = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = max(5, INPUTS // 30)  # of each operation
# Every edge of every field takes more than a minute: `make fuzz` goes through them.
PHASES = "examples,coverage,fuzzing" if EXAMPLES > 5 else "examples,fuzzing"


@pytest.fixture(scope="module")
def keyed_url(shared_stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway with keys; what the key's tenant drops is nobody else's."""
    folder = tmp_path_factory.mktemp("openapi")
    keys = folder / "keys.toml"
    keys.write_text(KEYS.format(digest=hashlib.sha256(KEY.encode()).hexdigest()))
    with gateway.beside(shared_stack.endpoints, folder, keys_file=keys) as (url, _):
        yield url


def without_deadlines(document: dict[str, Any]) -> dict[str, Any]:
    """Too short a one is 504, which is no failure of ours but looks like one."""
    for methods in document["paths"].values():
        for operation in methods.values():
            operation["parameters"].remove({"$ref": "#/components/parameters/x-request-timeout-ms"})
    return document


def test_answers_are_as_the_document_says(keyed_url: str, tmp_path: Path) -> None:
    fields = [{"name": "kind", "type": "tag"}]
    made = http.ask(f"{keyed_url}/v1/collections", {"name": "notes", "fields": fields}, x_api_key=KEY)
    assert made.status == 200, made.body
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(without_deadlines(http.ask(f"{keyed_url}/openapi.json").body)))
    options = (f"--url={keyed_url}", f"--header=x-api-key: {KEY}", "--no-color")
    amount = (f"--max-examples={EXAMPLES}", f"--phases={PHASES}")
    command = (PROGRAM, f"--config-file={SETTINGS}", "run", document, *options, *amount)
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2000:]
