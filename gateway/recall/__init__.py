"""The first stage's seam: where documents are kept and how passages are found. The rest sees these types only."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from gateway.calibration import Calibration
from serving.errors import Unavailable

if TYPE_CHECKING:
    from gateway.recall.filter import Filter


ENGLISH = "english"


class FieldType(Enum):
    """Metadata that filters may use."""

    TAG = "tag"
    NUMBER = "number"
    TIME = "time"
    GEO = "geo"


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of documents with vectors of one model. `uid` is new with every creation, also of the same name."""

    name: str
    uid: str
    fingerprint: str
    model: str
    dimensions: int
    fields: Mapping[str, FieldType]
    recall_weight: float
    calibration: Calibration | None = None
    language: str = ENGLISH


@dataclass(frozen=True, slots=True)
class Document:
    """`metadata` is the JSON text of an object, or empty."""

    id: str
    text: str
    title: str = ""
    metadata: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the text is here; without it there are an id and a title at most."""
        return bool(self.text)

    @property
    def passage(self) -> str:
        """What is embedded and reranked."""
        return f"{self.title} {self.text}" if self.title else self.text


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees."""

    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Indexed:
    """A document as it goes into the index: fp16 little-endian vector, values of the collection's fields."""

    document: Document
    vector: bytes
    tags: Mapping[str, Sequence[str | bool]] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)  # times too, in seconds since 1970
    places: Mapping[str, Place] = field(default_factory=dict)


class Frozen(Unavailable):
    """The collection takes no writes for a moment: a rebuilt one is about to take its place."""

    reason = "COLLECTION_FROZEN"


@dataclass(slots=True)
class Passage:
    """A document that recall found. `cosine` is None when it was found by words alone and no vector was at hand."""

    document: Document
    cosine: float | None = None
    bm25: float | None = None
    vector_rank: int = 0
    text_rank: int = 0


@dataclass(frozen=True, slots=True)
class Sought:
    """How many, of which; `texts` off finds ids only."""

    depth: int
    where: "Filter | None" = None
    texts: bool = True


class Recall(Protocol):
    """An index. Errors: Unavailable, Overloaded, DeadlineExceeded, FailedPrecondition, Internal."""

    async def create(self, collection: Collection, timeout_s: float) -> None:
        """Makes the empty index of a new collection."""

    async def drop(self, uid: str, timeout_s: float) -> None:
        """Drops an index and its documents; nothing when it is not there."""

    def scan(self, collection: Collection) -> AsyncIterator[list[str]]:
        """Ids in pages. An id that is there all the time is in one of them at least."""

    async def upsert(
        self,
        collection: Collection,
        documents: Sequence[Indexed],
        timeout_s: float,
        durable: bool | None = None,
        beside: Sequence[str] = (),
    ) -> list[Document]:
        """Stores documents, replacing those of the same id; returns once they are durable, if `durable`.

        None means what the index is set to. Returns what there was with the ids `beside`, as `get` does. Raises Frozen.
        """

    async def vectors(
        self, collection: Collection, documents: Sequence[Document], timeout_s: float
    ) -> list[bytes | None]:
        """The stored fp16 vector of each document whose id is stored with the same passage, None for the others."""

    async def delete(self, collection: Collection, ids: Sequence[str], timeout_s: float) -> int:
        """How many of them were there; returns once their absence is durable. Raises Frozen."""

    async def get(self, collection: Collection, ids: Sequence[str], timeout_s: float) -> list[Document]:
        """Those that exist, in the order asked."""

    async def count(self, collection: Collection, where: "Filter | None", timeout_s: float) -> int:
        """Documents that match the filter; all of them without one."""

    async def nearest(self, collection: Collection, vector: bytes, sought: "Sought", timeout_s: float) -> list[Passage]:
        """The `depth` documents of highest cosine to the fp16 `vector`, best first, ties by id."""

    async def matching(self, collection: Collection, query: str, sought: "Sought", timeout_s: float) -> list[Passage]:
        """The `depth` documents of highest BM25 score for the words of `query`, best first, ties by id."""

    async def complete(
        self, collection: Collection, vector: bytes | None, passages: Sequence[Passage], timeout_s: float
    ) -> list[Passage]:
        """What passages lack is read: documents where they hold ids only, cosines to the fp16 `vector`, if any.

        Those that are gone meanwhile are left out.
        """
