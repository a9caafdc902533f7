"""The documentation of the interpreter that runs the tests, as `siftline up` indexes it."""

import json
from pathlib import Path
from typing import Any

import pytest

from local import python_docs
from serving.errors import Unavailable

Corpus = dict[str, dict[str, Any]]


@pytest.fixture(scope="module", name="file")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("docs") / "python.jsonl"
    python_docs.write(file)
    return file


@pytest.fixture(scope="module", name="corpus")
def _corpus(file: Path) -> Corpus:
    documents = [json.loads(line) for line in file.read_text().splitlines()]
    corpus = {document["id"]: document for document in documents}
    assert len(corpus) == len(documents), "an id occurs twice"
    return corpus


def test_there_are_eight_thousand_texts_or_more(corpus: Corpus) -> None:
    assert len(corpus) >= 8000


def test_every_kind_is_there_those_written_in_c_included(corpus: Corpus) -> None:
    kinds = {
        "json": "module",
        "json.dumps": "function",
        "json.JSONEncoder": "class",
        "json.JSONEncoder.default": "method",
        "math.sin": "function",
        "str.lower": "method",
        "pathlib.PurePath.name": "property",
        "topics/assert": "topic",
    }
    assert {name: corpus[name]["metadata"]["kind"] for name in kinds} == kinds


def test_titles_carry_signatures_without_addresses(corpus: Corpus) -> None:
    assert corpus["json.dumps"]["title"].startswith("json.dumps(obj, *, skipkeys=False")
    assert not [document["id"] for document in corpus.values() if " at 0x" in document["title"]]


def test_no_text_is_empty_or_longer_than_a_passage(corpus: Corpus) -> None:
    assert all(0 < len(document["text"]) <= 600 for document in corpus.values())


def test_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "python.draft").mkdir()
    with pytest.raises(Unavailable, match="could not be collected: IsADirectoryError.*python.draft"):
        python_docs.write(tmp_path / "python.jsonl")


def test_same_interpreter_same_bytes(file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.jsonl"
    python_docs.write(again)
    assert again.read_bytes() == file.read_bytes()
