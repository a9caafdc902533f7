"""The set as a collection of the gateway, in which corpora of any size and queries without an answer are filters.

Every document gets the number `_rank`: its place in one random order of the whole corpus, the same on every run. The
corpus of n passages is `_rank < n`, so corpora of growing size are nested, and one collection holds all of them.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import grpc

from siftline import indexing
from siftline.client import AsyncClient
from siftline.errors import SiftlineError
from siftline.evaluation.dataset import Dataset
from siftline.results import Document

RANK = "_rank"


@dataclass(frozen=True)
class Corpus:
    """A collection that holds the documents of a set. `ranks`: `_rank` by document id."""

    collection: str
    fingerprint: str
    ranks: Mapping[str, int]

    def subset(self, size: int | None, relevant: Mapping[str, int]) -> str:
        """The filter for the corpus of the first `size` passages, and of what is relevant to this query.

        So a query has its answers in every corpus, among passages that are a random sample of the whole.
        """
        if size is None or size >= len(self.ranks):
            return ""
        missing = [rank for rank in self._ranks(relevant) if rank >= size]
        return f"{RANK} < {size}" + (f" OR {RANK} IN ({_listed(missing)})" if missing else "")

    def without(self, relevant: Mapping[str, int]) -> str:
        """The filter for the corpus without what is relevant to this query: nothing in it answers the query."""
        there = self._ranks(relevant)
        return f"NOT {RANK} IN ({_listed(there)})" if there else ""

    def only(self, documents: Iterable[str]) -> str:
        """The filter for these documents and no other."""
        return f"{RANK} IN ({_listed(sorted(self.ranks[document] for document in documents))})"

    def _ranks(self, relevant: Mapping[str, int]) -> list[int]:
        return sorted(self.ranks[document] for document in relevant if document in self.ranks)


async def ensure(
    client: AsyncClient,
    dataset: Dataset,
    report: Callable[[indexing.Progress], None] = lambda progress: None,
    language: str = "english",
) -> Corpus:
    """The set's collection, complete: what it lacks is indexed, by the rules of `language`. Raises SiftlineError."""
    model = await client.embed_model()
    name = _name(dataset, model.fingerprint, language)
    corpus = Corpus(name, model.fingerprint, _ranks(dataset))
    if await _count(client, name) != len(dataset.documents):
        documents = _documents(dataset, corpus)
        await indexing.index(client, name, documents, fields={RANK: "number"}, language=language, report=report)
    return corpus


async def _count(client: AsyncClient, name: str) -> int:
    try:
        return (await client.get_collection(name)).count
    except SiftlineError as error:
        if error.code is not grpc.StatusCode.NOT_FOUND:
            raise
        return -1


def _name(dataset: Dataset, fingerprint: str, language: str) -> str:
    """Names corpora, model and language: a collection of this name holds these documents or a part of them, only."""
    stem = re.sub(r"[^a-z0-9_-]+", "-", dataset.name.lower()).strip("-_")[:40]
    end = "" if language == "english" else f"-{language}"
    return f"eval-{stem}-{dataset.digest[:8]}-{fingerprint[:8]}{end}".lower()


def _ranks(dataset: Dataset) -> dict[str, int]:
    """Order by digest of the id: random as far as the texts are concerned, and the same everywhere."""
    order = sorted(dataset.documents, key=lambda name: hashlib.blake2b(name.encode(), digest_size=16).digest())
    return {document: rank for rank, document in enumerate(order)}


def _documents(dataset: Dataset, corpus: Corpus) -> Iterator[Document]:
    for document in dataset.documents.values():
        # A float, for that is what a number of a protobuf Struct comes back as.
        yield replace(document, metadata={RANK: float(corpus.ranks[document.id])})


def _listed(ranks: list[int]) -> str:
    return ", ".join(map(str, ranks))
