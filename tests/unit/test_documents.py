import gzip
import json
from pathlib import Path

import pytest

from siftline.cli.index import collection_name
from siftline.documents import UnreadableSource, source
from siftline.results import Document


def test_lines_may_name_their_id_in_either_way_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text(
        '{"_id": "a", "text": "one", "title": "T", "metadata": {"n": 1}}\n'
        "\n"
        '{"id": 7, "text": "two", "title": null}\n'
        '{"text": "three"}\n'
    )
    assert list(source(file)()) == [
        Document("a", "one", "T", {"n": 1}),
        Document("7", "two"),
        Document("some.jsonl:4", "three"),
    ]


def test_beir_folder_is_its_corpus(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "corpus.jsonl.gz", "wt") as corpus:
        corpus.write(json.dumps({"_id": "x", "text": "y"}) + "\n")
    (tmp_path / "notes.txt").write_text("not part of it")
    assert list(source(tmp_path)()) == [Document("x", "y")]


def test_folder_is_read_in_the_same_order_each_time_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.txt", "a.md", ".git/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    read = source(tmp_path)
    assert [document.id for document in read()] == ["a.md#1", "b.txt#1"]
    assert list(read()) == list(read())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.jsonl", "{", "x.jsonl:1: not JSON"),
        ("x.jsonl", '{"text": "fine"}\n[]', 'x.jsonl:2: expected an object with a string "text"'),
        ("x.jsonl", '{"text": 3}', 'x.jsonl:1: expected an object with a string "text"'),
        ("x.csv", "a,b", "expected a .jsonl file"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UnreadableSource, match=words.replace(".", r"\.")):
        list(source(tmp_path / name)())


@pytest.mark.parametrize(
    ("path", "name"), [("My Notes.jsonl.gz", "my-notes"), ("squad-dev-en", "squad-dev-en"), ("_é_.jsonl", "documents")]
)
def test_collection_is_named_after_the_source(path: str, name: str) -> None:
    assert collection_name(Path(path)) == name
