"""Lines of JSON and of tables, plain or gzipped, each with the place to name when it is wrong."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from siftline.documents import UnreadableSource


class BadDataset(UnreadableSource):
    """A judged set that cannot be used as it is; the message names file and line."""


def find(folder: Path, name: str) -> Path:
    """The file `name` of `folder`, or its .gz. Raises BadDataset."""
    for file in (folder / name, folder / f"{name}.gz"):
        if file.is_file():
            return file
    raise BadDataset(f"{folder}: neither {name} nor {name}.gz is there")


def lines(file: Path) -> Iterator[tuple[str, str]]:
    """(place, line without its end) of each line that is not blank; place is FILE:NUMBER. Raises BadDataset."""
    number = 0
    try:
        with _open(file) as text:
            for number, line in enumerate(text, 1):
                if line.strip():
                    yield f"{file}:{number}", line.rstrip("\r\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadDataset(f"{file}:{number + 1}: cannot be read: {error}") from error


def records(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of each line. Raises BadDataset for a line that is no JSON object."""
    for place, line in lines(file):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise BadDataset(f"{place}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise BadDataset(f"{place}: expected a JSON object, found {type(record).__name__}")
        yield place, record


def text_of(place: str, record: dict[str, Any], name: str) -> str:
    """The string under `name`; raises BadDataset when there is none."""
    value = record.get(name)
    if not isinstance(value, str):
        raise BadDataset(f'{place}: "{name}" should be a string, found {value!r:.60}')
    return value


def _open(file: Path) -> IO[str]:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8")
    return file.open(encoding="utf-8")
