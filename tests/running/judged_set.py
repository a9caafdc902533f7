"""A small judged set cut out of a shared one, the same on every machine."""

import gzip
import hashlib
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

DATA = Path("../shared/data")


def require_data() -> Path:
    """Skips where the shared sets are absent; in CI they must be there."""
    if not DATA.is_dir():
        message = f"{DATA} is absent"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return DATA


def cut(name: str, split: str, folder: Path, *, queries: int, passages: int) -> Path:
    """`queries` of a split, their relevant passages, and others of the set up to `passages`, as a BEIR folder."""
    source = require_data() / name
    rows = [line.split("\t") for line in _lines(source / "qrels" / f"{split}.tsv.gz")[1:]]
    drawn = set(random.Random(0).sample(sorted({row[0] for row in rows}), queries))
    judged = [row for row in rows if row[0] in drawn]
    needed = {row[1] for row in judged}
    corpus = sorted(
        _records(source / "corpus.jsonl.gz"), key=lambda record: (record["_id"] not in needed, _digest(record))
    )
    (folder / "qrels").mkdir(parents=True)
    _write(folder / "corpus.jsonl", [json.dumps(record) for record in corpus[:passages]])
    asked = [json.dumps(record) for record in _records(source / "queries.jsonl.gz") if record["_id"] in drawn]
    _write(folder / "queries.jsonl", asked)
    _write(folder / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", *("\t".join(row) for row in judged)])
    return folder


def _lines(file: Path) -> list[str]:
    return gzip.decompress(file.read_bytes()).decode().splitlines()


def _records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _lines(file)]


def _digest(record: dict[str, Any]) -> bytes:
    return hashlib.blake2b(record["_id"].encode()).digest()


def _write(file: Path, lines: list[str]) -> None:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
