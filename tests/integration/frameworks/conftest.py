"""A collection for all three frameworks, in the stack that all tests share."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import siftline
from siftline import Document
from tests.running.stack import RunningStack

QUESTION = "How are batches formed?"
NOTES = [
    Document("tokens", "Batches are formed by tokens, not by requests.", "Batching", {"lang": "en", "year": 2024}),
    Document("lanes", "Interactive requests overtake bulk indexing.", metadata={"lang": "en", "year": 2025}),
    Document("windows", "Long passages are read in overlapping windows.", metadata={"lang": "en", "year": 2026}),
    Document("tische", "Die Tische im Garten sind aus Holz.", metadata={"lang": "de", "year": 2024}),
]


@dataclass(frozen=True)
class Notes:
    """`client` says what the components have to say."""

    address: str
    collection: str
    client: siftline.Client


@pytest.fixture(scope="session")
def notes(shared_stack: RunningStack) -> Iterator[Notes]:
    with siftline.Client(shared_stack.endpoints["gateway"]) as client:
        client.create_collection("framework-notes", {"lang": "tag", "year": "number"})
        client.upsert("framework-notes", NOTES)
        yield Notes(shared_stack.endpoints["gateway"], "framework-notes", client)
        client.drop_collection("framework-notes")
