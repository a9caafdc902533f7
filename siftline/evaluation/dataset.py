"""Judged sets in the layout of BEIR: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv, each plain or gzipped.

Source: Thakur et al., "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval Models", 2021.
"""

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from siftline.evaluation.files import BadDataset, find, lines, records, text_of
from siftline.results import Document

COLUMNS = ["query-id", "corpus-id", "score"]


@dataclass(frozen=True)
class Dataset:
    """One split of a set, with the passages that are searched.

    documents: by id, those of the set and then those of the distractors
    queries: text by id; those that the split judges and that have a relevant passage
    relevant: grade above 0 by passage id, by query id
    digest: of the corpora that the documents came from, 32 hex digits
    """

    name: str
    split: str
    documents: Mapping[str, Document]
    queries: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, int]]
    digest: str

    def sample(self, count: int | None, seed: int) -> "Dataset":
        """The same with `count` of its queries, drawn at random; all of them with None or more than there are."""
        if count is None or count >= len(self.queries):
            return self
        drawn = sorted(random.Random(seed).sample(sorted(self.queries), count))
        return replace(self, queries={query: self.queries[query] for query in drawn})


def read(folder: Path, split: str | None = None, distractors: Sequence[Path] = ()) -> Dataset:
    """Reads a set; `distractors` are folders whose corpora are searched too.

    Raises BadDataset, with file and line, for ids that are there twice or unknown, texts that are missing, queries
    that are empty, wrong columns, a split without a relevant passage.
    """
    corpora = [find(each, "corpus.jsonl") for each in (folder, *distractors)]
    documents, own = _documents(corpora)
    queries = _queries(find(folder, "queries.jsonl"))
    file = _qrels(folder, split)
    relevant = _judgements(file, queries, own)
    if not relevant:
        raise BadDataset(f"{file}: no judgement is above 0")
    return Dataset(
        name=folder.resolve().name,
        split=file.name.removesuffix(".gz").removesuffix(".tsv"),
        documents=documents,
        queries={query: queries[query] for query in relevant},
        relevant=relevant,
        digest=_digest(corpora),
    )


def _documents(corpora: Sequence[Path]) -> tuple[dict[str, Document], frozenset[str]]:
    """All documents by id, and the ids in the first corpus, also of passages that are empty and so are left out."""
    documents: dict[str, Document] = {}
    places: dict[str, str] = {}
    own: frozenset[str] = frozenset()
    for file in corpora:
        for place, record in records(file):
            document = Document(_new_id(place, record, places), text_of(place, record, "text"), record.get("title", ""))
            if not isinstance(document.title, str):
                raise BadDataset(f'{place}: "title" should be a string, found {document.title!r:.60}')
            if not document.text.strip():  # some public sets hold passages of a title alone, and empty ones
                document = replace(document, text=document.title, title="")
            if document.text.strip():
                documents[document.id] = document
        own = own or frozenset(places)
    return documents, own


def _queries(file: Path) -> dict[str, str]:
    queries: dict[str, str] = {}
    places: dict[str, str] = {}
    for place, record in records(file):
        query = _new_id(place, record, places)
        queries[query] = text_of(place, record, "text")
        if not queries[query].strip():
            raise BadDataset(f"{place}: query {query!r} is empty")
    return queries


def _new_id(place: str, record: dict[str, object], places: dict[str, str]) -> str:
    identity = text_of(place, record, "_id")
    if not identity:
        raise BadDataset(f'{place}: "_id" is empty')
    if (first := places.setdefault(identity, place)) != place:
        raise BadDataset(f"{place}: the id {identity!r} is at {first} already")
    return identity


def _qrels(folder: Path, split: str | None) -> Path:
    if split is not None:
        return find(folder / "qrels", f"{split}.tsv")
    found = sorted((folder / "qrels").glob("*.tsv*"))
    named = {file.name.removesuffix(".gz").removesuffix(".tsv"): file for file in found}
    if len(named) == 1:
        return found[0]
    if "test" in named:
        return named["test"]
    raise BadDataset(f"{folder / 'qrels'}: which split? There are: {', '.join(named) or 'none'}")


def _judgements(file: Path, queries: Mapping[str, str], documents: Iterable[str]) -> dict[str, dict[str, int]]:
    """Grades above 0; every row is checked, also the others."""
    rows = lines(file)
    place, header = next(rows, (f"{file}:1", ""))
    if header.split("\t") != COLUMNS:
        raise BadDataset(f"{place}: expected the columns {', '.join(COLUMNS)} with tabs between, found {header!r:.80}")
    known, places = frozenset(documents), dict[tuple[str, str], str]()
    relevant: dict[str, dict[str, int]] = {}
    for place, row in rows:
        query, document, grade = _row(place, row)
        for column, identity, all_known in (("query-id", query, queries), ("corpus-id", document, known)):
            if identity not in all_known:
                raise BadDataset(f"{place}: {column} {identity!r} is unknown")
        if (first := places.setdefault((query, document), place)) != place:
            raise BadDataset(f"{place}: {query!r} and {document!r} are judged at {first} already")
        if grade > 0:
            relevant.setdefault(query, {})[document] = grade
    return relevant


def _row(place: str, row: str) -> tuple[str, str, int]:
    cells = row.split("\t")
    if len(cells) != len(COLUMNS):
        raise BadDataset(f"{place}: expected {len(COLUMNS)} columns, found {len(cells)}")
    try:
        return cells[0], cells[1], int(cells[2])
    except ValueError as error:
        raise BadDataset(f"{place}: score should be a whole number, found {cells[2]!r:.40}") from error


def _digest(corpora: Sequence[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for file in corpora:
        digest.update(hashlib.blake2b(file.read_bytes(), digest_size=16).digest())
    return digest.hexdigest()
