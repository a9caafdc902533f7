"""What is asked of a search, and what it found."""

from dataclasses import dataclass, field
from enum import Enum

from gateway.degradation import Degradation
from gateway.metrics import Stopwatch
from gateway.recall import Passage


class RecallMode(Enum):
    VECTOR = 1
    BM25 = 2
    HYBRID = 3


@dataclass(frozen=True, slots=True)
class Query:
    """A search as asked, checked. None: the collection's `recall_weight`; no floor; all the time that there is."""

    collection: str
    text: str
    top_k: int
    depth: int
    mode: RecallMode = RecallMode.VECTOR
    rerank: bool = True
    min_score: float | None = None
    filter: str = ""
    recall_weight: float | None = None
    budget_s: float | None = None
    min_probability: float | None = None
    collapse: str = ""
    adaptive: bool = False
    words_weight: float = 0.5


@dataclass(slots=True)
class Hit:
    """`score` decides the order: the recall score, or logit + recall_weight * cosine once reranked.

    `probability` is the logit's sigmoid, `calibrated` what the collection's calibration makes of the logit;
    `collapsed` counts the lower hits that it stands for.
    """

    passage: Passage
    recall_rank: int
    recall_score: float
    score: float
    logit: float | None = None
    probability: float | None = None
    calibrated: float | None = None
    collapsed: int = 0


@dataclass(slots=True)
class Found:
    """The answer, and how it came about. `crowded`: a patient search found the second stage with too much to do."""

    hits: list[Hit] = field(default_factory=list)
    recalled: int = 0
    reranked: int = 0
    nearest: list[Passage] = field(default_factory=list)
    matching: list[Passage] = field(default_factory=list)
    degraded: list[Degradation] = field(default_factory=list)
    crowded: bool = False
    embed_fingerprint: str = ""
    rerank_fingerprint: str = ""
    cached: bool = False
    embed: Stopwatch = field(default_factory=Stopwatch)
    recall: Stopwatch = field(default_factory=Stopwatch)
    rerank: Stopwatch = field(default_factory=Stopwatch)
