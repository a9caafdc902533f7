"""Judged sets: what is read, and what is wrong with one, by file and line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from siftline.evaluation.dataset import read
from siftline.evaluation.files import BadDataset
from siftline.results import Document

CORPUS: list[Any] = [{"_id": "a", "title": "T", "text": "one"}, {"_id": "b", "text": "two"}, {"_id": "c", "text": "3"}]
QUERIES: list[Any] = [{"_id": "1", "text": "first"}, {"_id": "2", "text": "second"}, {"_id": "3", "text": "third"}]
QRELS = ["query-id\tcorpus-id\tscore", "1\ta\t1", "2\tb\t2", "2\tc\t1", "3\ta\t0"]


def lines(records: list[Any]) -> str:
    return "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)


def judged(
    folder: Path,
    corpus: list[Any] = CORPUS,
    queries: list[Any] = QUERIES,
    qrels: list[str] = QRELS,
    split: str = "test",
) -> Path:
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    (folder / "corpus.jsonl").write_text(lines(corpus))
    (folder / "queries.jsonl").write_text(lines(queries))
    (folder / "qrels" / f"{split}.tsv").write_text("\n".join(qrels) + "\n")
    return folder


def test_read(tmp_path: Path) -> None:
    dataset = read(judged(tmp_path / "set"))
    assert (dataset.name, dataset.split) == ("set", "test")
    assert dataset.documents["a"] == Document("a", "one", "T")
    assert dataset.queries == {"1": "first", "2": "second"}  # nothing answers the third
    assert dataset.relevant == {"1": {"a": 1}, "2": {"b": 2, "c": 1}}


def test_gzipped_files_hold_the_same(tmp_path: Path) -> None:
    plain, packed = judged(tmp_path / "plain"), tmp_path / "packed"
    for file in plain.rglob("*.*"):
        other = packed / f"{file.relative_to(plain)}.gz"
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(gzip.compress(file.read_bytes()))
    ours, theirs = read(plain), read(packed)
    assert (ours.documents, ours.queries, ours.relevant) == (theirs.documents, theirs.queries, theirs.relevant)


def test_distractors_are_searched_and_are_part_of_the_digest(tmp_path: Path) -> None:
    folder, more = judged(tmp_path / "set"), judged(tmp_path / "more", corpus=[{"_id": "z", "text": "other"}])
    alone, both = read(folder), read(folder, distractors=[more])
    assert list(both.documents) == ["a", "b", "c", "z"]
    assert alone.digest != both.digest


def test_a_passage_of_a_title_alone_is_kept_and_an_empty_one_is_not(tmp_path: Path) -> None:
    corpus = [*CORPUS, {"_id": "d", "title": "only", "text": ""}, {"_id": "e", "title": "", "text": " "}]
    documents = read(judged(tmp_path, corpus=corpus)).documents
    assert documents["d"] == Document("d", "only")
    assert "e" not in documents


def test_which_split(tmp_path: Path) -> None:
    folder = judged(tmp_path, split="dev")
    assert read(folder).split == "dev"
    judged(folder, split="train")
    with pytest.raises(BadDataset, match=r"which split\? There are: dev, train"):
        read(folder)
    with pytest.raises(BadDataset, match="neither test.tsv nor test.tsv.gz"):
        read(folder, "test")
    judged(folder)
    assert read(folder).split == "test"


def test_a_sample_is_the_same_every_time(tmp_path: Path) -> None:
    dataset = read(judged(tmp_path))
    assert len(dataset.sample(1, 0).queries) == 1
    assert dataset.sample(1, 0) == dataset.sample(1, 0)
    assert dataset.sample(None, 0) is dataset
    assert dataset.sample(3, 0) is dataset


HEAD = QRELS[0]
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("corpus.jsonl:3", {"corpus": [*CORPUS[:2], CORPUS[0]]}, "the id 'a' is at .*corpus.jsonl:1 already"),
    ("corpus.jsonl:2", {"corpus": [CORPUS[0], "{oops"]}, "not JSON"),
    ("corpus.jsonl:2", {"corpus": [CORPUS[0], "[]"]}, "expected a JSON object, found list"),
    ("corpus.jsonl:2", {"corpus": [CORPUS[0], {"text": "x"}]}, '"_id" should be a string, found None'),
    ("corpus.jsonl:1", {"corpus": [{"_id": 7, "text": "x"}]}, '"_id" should be a string, found 7'),
    ("corpus.jsonl:1", {"corpus": [{"_id": "", "text": "x"}]}, '"_id" is empty'),
    ("corpus.jsonl:1", {"corpus": [{"_id": "a"}]}, '"text" should be a string'),
    ("corpus.jsonl:1", {"corpus": [{"_id": "a", "text": "x", "title": 1}]}, '"title" should be a string'),
    ("queries.jsonl:2", {"queries": [QUERIES[0], {"_id": "2", "text": " "}]}, "query '2' is empty"),
    ("queries.jsonl:2", {"queries": [QUERIES[0], QUERIES[0]]}, "the id '1' is at .*queries.jsonl:1 already"),
    ("test.tsv:1", {"qrels": ["query\tdoc\trel", "1\ta\t1"]}, "expected the columns query-id, corpus-id, score"),
    ("test.tsv:1", {"qrels": []}, "expected the columns"),
    ("test.tsv:2", {"qrels": [HEAD, "1 a 1"]}, "expected 3 columns, found 1"),
    ("test.tsv:2", {"qrels": [HEAD, "1\ta\tyes"]}, "score should be a whole number, found 'yes'"),
    ("test.tsv:2", {"qrels": [HEAD, "9\ta\t1"]}, "query-id '9' is unknown"),
    ("test.tsv:3", {"qrels": [HEAD, "1\ta\t1", "1\tz\t1"]}, "corpus-id 'z' is unknown"),
    ("test.tsv:3", {"qrels": [HEAD, "1\ta\t1", "1\ta\t1"]}, "'1' and 'a' are judged at .*test.tsv:2 already"),
    ("test.tsv", {"qrels": [HEAD, "1\ta\t0"]}, "no judgement is above 0"),
]


@pytest.mark.parametrize(("place", "files", "problem"), BAD)
def test_what_is_wrong_is_named_with_file_and_line(
    tmp_path: Path, place: str, files: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BadDataset, match=problem) as caught:
        read(judged(tmp_path, **files))
    assert f"{place}: " in str(caught.value)


def test_a_judged_passage_of_the_distractors_is_unknown(tmp_path: Path) -> None:
    more = judged(tmp_path / "more", corpus=[{"_id": "z", "text": "other"}])
    with pytest.raises(BadDataset, match="corpus-id 'z' is unknown"):
        read(judged(tmp_path / "set", qrels=[HEAD, "1\tz\t1"]), distractors=[more])


def test_an_id_may_not_be_in_two_corpora(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"more.corpus.jsonl:1: the id 'a' is at .*set.corpus.jsonl:1 already"):
        read(judged(tmp_path / "set"), distractors=[judged(tmp_path / "more")])


def test_a_file_that_ends_too_early(tmp_path: Path) -> None:
    folder = judged(tmp_path)
    whole = gzip.compress((folder / "corpus.jsonl").read_bytes())
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(whole[:-8])
    with pytest.raises(BadDataset, match=r"corpus.jsonl.gz:\d+: cannot be read"):
        read(folder)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="neither corpus.jsonl nor corpus.jsonl.gz is there"):
        read(tmp_path / "none")
