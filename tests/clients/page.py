"""docs/clients.md, made of the programs: `python -m tests.clients.page` writes it, test_clients.py holds it true."""

import ast
from pathlib import Path

PROGRAMS = sorted(file.stem for file in (Path(__file__).parent / "programs").glob("*.py") if file.stem != "__init__")
FILE = Path("docs/clients.md")
LOCKS = (Path("requirements/clients.txt"), *sorted(Path("requirements").glob("clients-*.txt")))

HEAD = """# Clients that work as they are

Made by `python -m tests.clients.page`. Each line is tried by `make test` with the client as it is on PyPI, unmodified,
against the running system with API keys on; vectors, scores and their order equal those over gRPC.

| client | what is called |
|---|---|
"""
TAIL = """
What to know:

- The model in service answers whatever model name a client sends; the reply says which it is.
- langchain-openai sends token ids of OpenAI's vocabulary by default. Give the gateway that vocabulary
  (`openai_vocabulary`, a tiktoken file), or set `check_embedding_ctx_length=False`. Else they are refused: as ids of
  the model's own vocabulary they would say something else, and nobody would notice.
- Keys go in as `Authorization: Bearer KEY`, as the bare key there (LlamaIndex), or as `x-api-key`.
- `x-request-timeout-ms` sets a deadline, `x-priority: bulk` the lane, `x-request-id` comes back.
- When there is too much to do: 429 with `Retry-After` in whole seconds and `retry-after-ms`. 413 is for bytes, 422 for
  items and tokens, 503 only for a part that is not ready, 504 for a deadline.
- TEI serves one model, here there are two: `POST /` goes to the one that the body fits. `GET /` is the search page, so
  probes take `/health`. `/metrics` needs a key where keys are on, as it tells of everyone's traffic; Prometheus reads
  the same without one at the gateway's `metrics` address. The route of TEI's Vertex AI build is not there.
"""


def text() -> str:
    pins = dict(line.split("==", 1) for file in LOCKS for line in file.read_text().splitlines() if "==" in line)
    return HEAD + "".join(_rows(name, pins) for name in PROGRAMS) + TAIL


def _rows(name: str, pins: dict[str, str]) -> str:
    packages = _docstring(name)
    return "".join(_row(packages, what, pins) for _, what in checks(name))


def _row(packages: str, what: str, pins: dict[str, str]) -> str:
    """`what` may name its package itself, before a colon."""
    named, _, rest = what.partition(": ")
    if named in pins:
        packages, what = named, rest
    versions = ", ".join(f"{package} {pins[package]}" for package in packages.split(", "))
    return f"| {versions} | {what} |\n"


def checks(name: str) -> list[tuple[str, str]]:
    """Name and docstring of each check of a program, read and not imported: its client is not installed here."""
    functions = [node for node in _tree(name).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    named = [function for function in functions if function.name.startswith("check_")]
    return [(function.name, (ast.get_docstring(function) or "").strip()) for function in named]


def _docstring(name: str) -> str:
    return ast.get_docstring(_tree(name)) or ""


def _tree(name: str) -> ast.Module:
    return ast.parse((Path(__file__).parent / "programs" / f"{name}.py").read_text())


if __name__ == "__main__":
    FILE.write_text(text())
