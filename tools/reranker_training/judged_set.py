"""Judged retrieval sets on disk: a BEIR folder (gzipped corpus, queries and one qrels file per split)."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JudgedSet:
    """One split of one set.

    Attributes:
        name: Folder name of the set.
        documents: Document id to its indexed text (see :func:`document_text`); the whole corpus of the set.
        queries: Query id to text; only the queries judged in the split.
        relevant: Query id to the ids of its relevant documents (score above 0).
    """

    name: str
    documents: dict[str, str]
    queries: dict[str, str]
    relevant: dict[str, frozenset[str]]

    def judged_documents(self) -> frozenset[str]:
        """Ids of every document that is relevant to some query of the split."""
        return frozenset().union(*self.relevant.values())


def document_text(title: str, text: str) -> str:
    """The text that is indexed and reranked: title, one space, text; the text alone where there is no title."""
    return f"{title} {text}" if title else text


def read_judged_set(folder: Path, split: str) -> JudgedSet:
    """Reads one split of a set; the corpus is always read whole."""
    relevant = read_judgements(folder / "qrels" / f"{split}.tsv.gz")
    queries = {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl.gz") if row["_id"] in relevant}
    documents = {
        row["_id"]: document_text(row.get("title", ""), row["text"]) for row in _rows(folder / "corpus.jsonl.gz")
    }
    return JudgedSet(folder.name, documents, queries, relevant)


def read_judgements(path: Path) -> dict[str, frozenset[str]]:
    """Query id to relevant document ids, from a gzipped three-column table with a header line."""
    gathered: dict[str, set[str]] = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            if float(row["score"]) > 0:
                gathered.setdefault(row["query-id"], set()).add(row["corpus-id"])
    return {query: frozenset(documents) for query, documents in gathered.items()}


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every data file of a set, by path relative to the folder's parent."""
    files = sorted(folder.rglob("*.gz"))
    return {path.relative_to(folder.parent).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
