"""Documents out of files: JSON lines, BEIR folders, folders of text."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from siftline.passages import cut
from siftline.results import Document

TEXT_SUFFIXES = frozenset({".txt", ".md", ".markdown", ".rst", ".text"})
CORPUS_NAMES = ("corpus.jsonl", "corpus.jsonl.gz")
TITLE_CHARACTERS = 200


class UnreadableSource(ValueError):
    """The file or folder holds no documents that can be read; the message names file and line."""


def source(path: Path) -> Callable[[], Iterator[Document]]:
    """How to read the documents of `path`, as often as wanted, one at a time and always in the same order.

    A .jsonl file (also .gz): one object a line with "text", and optionally "_id" or "id", "title", "metadata"; without
    an id, the line's number is it. A BEIR folder: its corpus. Any other folder: its text files, cut into passages.
    """
    if path.is_dir():
        corpus = next((path / name for name in CORPUS_NAMES if (path / name).is_file()), None)
        return (lambda: _lines(corpus)) if corpus else (lambda: _folder(path))
    if not path.is_file():
        raise UnreadableSource(f"{path}: no such file or folder")
    if ".jsonl" not in path.suffixes:
        raise UnreadableSource(f"{path}: expected a .jsonl file, a BEIR folder or a folder of text")
    return lambda: _lines(path)


def _lines(file: Path) -> Iterator[Document]:
    with _open(file) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _parse(line, f"{file}:{number}", fallback_id=f"{file.name}:{number}")


def _open(file: Path) -> IO[str]:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8")
    return file.open(encoding="utf-8")


def _parse(line: str, place: str, fallback_id: str) -> Document:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise UnreadableSource(f"{place}: not JSON: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise UnreadableSource(f'{place}: expected an object with a string "text"')
    return Document(
        id=_id(record, fallback_id),
        text=record["text"],
        title=record.get("title") or "",
        metadata=record.get("metadata") or {},
    )


def _id(record: dict[str, Any], fallback: str) -> str:
    return str(record.get("_id", record.get("id", fallback)))


def _folder(folder: Path) -> Iterator[Document]:
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.is_file() and file.suffix.lower() in TEXT_SUFFIXES and not hidden:
            yield from _file(file, file.relative_to(folder).as_posix())


def _file(file: Path, name: str) -> Iterator[Document]:
    text = file.read_text(encoding="utf-8", errors="replace").replace("\0", "")
    first = next((line.strip("#=* \t") for line in text.splitlines() if line.strip("#=* \t")), name)
    for number, passage in enumerate(cut(text), start=1):
        yield Document(f"{name}#{number}", passage, title=first[:TITLE_CHARACTERS], metadata={"file": name})
