"""What calls take and give. Times are in microseconds, as the server measured them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Side = Literal["query", "document"]
Dtype = Literal["float32", "float16", "int8", "binary"]
Output = Literal["dense", "sparse", "multi_vector"]
Truncation = Literal["error", "end", "start", "window"]
Priority = Literal["interactive", "bulk"]
LongPassage = Literal["window", "truncate", "error"]
Recall = Literal["vector", "bm25", "hybrid"]
FieldType = Literal["tag", "number", "time", "geo"]


@dataclass(frozen=True)
class Document:
    """`title` is embedded and reranked in front of the text; `metadata` holds JSON values."""

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbedTimings:
    total_us: int
    tokenize_us: int
    queue_us: int
    compute_us: int
    cache_us: int


@dataclass(frozen=True)
class SparseVector:
    """Weights of the distinct tokens of one text: ids uint32 [m], ascending; weights [m], above 0."""

    ids: npt.NDArray[np.uint32]
    weights: npt.NDArray[Any]


@dataclass(frozen=True)
class Embeddings:
    """vectors: [n, d] of the dtype asked for; for "binary" uint8 [n, ceil(d / 8)], most significant bit first.

    sparse: one for each text; multi_vectors: [tokens, d] for each text. What was not asked for is empty.
    token_counts: as computed, prompt and special tokens included; truncated: whether a text was cut; windows: in how
    many it was read (more than one only with truncation="window")
    """

    vectors: npt.NDArray[Any]
    token_counts: tuple[int, ...]
    truncated: tuple[bool, ...]
    fingerprint: str
    cached: int
    timings: EmbedTimings
    sparse: tuple[SparseVector, ...] = ()
    multi_vectors: tuple[npt.NDArray[Any], ...] = ()
    windows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reranked:
    """index: position in the passages that were sent; score: sigmoid of the logit."""

    index: int
    logit: float
    score: float
    windows: int
    truncated: bool


@dataclass(frozen=True)
class Platt:
    """Probability = sigmoid(slope * logit + intercept)."""

    slope: float
    intercept: float


@dataclass(frozen=True)
class Isotonic:
    """Straight lines between points of rising logit and never falling probability, flat outside."""

    logits: tuple[float, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """From rerank logits to probabilities, for the reranker of this fingerprint."""

    rerank_fingerprint: str
    map: Platt | Isotonic


@dataclass(frozen=True)
class Collection:
    name: str
    fingerprint: str
    model: str
    dimensions: int
    count: int
    fields: Mapping[str, FieldType]
    recall_weight: float
    calibration: Calibration | None = None
    language: str = "english"


@dataclass(frozen=True)
class Upserted:
    """reused: documents whose text was stored already, so that their vectors were kept. unchanged: documents that were
    stored already as the same chunks, and are not counted otherwise."""

    upserted: int
    tokens: int
    reused: int
    unchanged: int = 0


@dataclass(frozen=True)
class ReindexedAll:
    collections: int
    documents: int
    tokens: int


@dataclass(frozen=True)
class Reindexed:
    """documents: brought over; reused: those of them whose vectors could be copied."""

    collection: Collection
    documents: int
    tokens: int
    reused: int


@dataclass(frozen=True)
class Hit:
    """recall_score: cosine similarity, or the BM25 score. The rerank values are None without the second stage.

    probability: that the passage is relevant, None when the collection has no calibration for the reranker;
    collapsed: lower hits that it stands for
    """

    id: str
    title: str
    text: str
    metadata: Mapping[str, Any]
    score: float
    recall_rank: int
    recall_score: float
    rerank_score: float | None
    rerank_logit: float | None
    vector_rank: int
    text_rank: int
    probability: float | None = None
    collapsed: int = 0


@dataclass(frozen=True)
class Candidate:
    id: str
    score: float


@dataclass(frozen=True)
class Explanation:
    """Both lists of the first stage, best first: by vector (cosines) and by words (BM25 scores)."""

    nearest: tuple[Candidate, ...]
    matching: tuple[Candidate, ...]


@dataclass(frozen=True)
class CachedModel:
    """fingerprint: its first 16 characters; bytes: of values; in_service: whether it is the model that embeds now."""

    fingerprint: str
    entries: int
    bytes: int
    in_service: bool


@dataclass(frozen=True)
class CacheStats:
    """models: most entries first; hit_ratio: of the texts that the gateway looked up since it was started."""

    models: tuple[CachedModel, ...]
    hit_ratio: float


@dataclass(frozen=True)
class SearchTimings:
    total_us: int
    embed_us: int
    recall_us: int
    rerank_us: int
    embedding_cached: bool


@dataclass(frozen=True)
class SearchResult:
    """hits: best first; degraded: why the second stage is missing, for example "RERANK_TIMEOUT", or
    "RERANK_UNREADABLE" for a query in words that the reranker does not know.

    recalled: passages that the first stage found; reranked: those of them that the second stage read
    """

    hits: tuple[Hit, ...]
    degraded: tuple[str, ...]
    recalled: int
    embed_fingerprint: str
    rerank_fingerprint: str
    timings: SearchTimings
    reranked: int = 0
    explanation: Explanation | None = None


@dataclass(frozen=True)
class Model:
    """The model of one stage. `limits` are what one request may hold, by the names of the proto."""

    name: str
    fingerprint: str
    max_tokens: int
    engine: str
    precision: str
    licence: str
    source: str
    limits: Mapping[str, int]
    # Of an embedder only.
    dimensions: int = 0
    pooling: str = ""
    normalized: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    multi_vector_dimensions: int = 0
    prompt_max_tokens: Mapping[str, int] = field(default_factory=dict)


NUMPY_DTYPES: dict[Dtype, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "int8": np.dtype("i1"),
    "binary": np.dtype("u1"),
}
