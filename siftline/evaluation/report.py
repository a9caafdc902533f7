"""What an evaluation is asked for, and what it finds."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from siftline.evaluation.comparison import Measured
from siftline.evaluation.latency import Latency
from siftline.evaluation.methods import Method
from siftline.evaluation.statistics import Interval
from siftline.results import Model, Recall

RECALL_DEPTH = 50  # of an evaluation without the second stage


@dataclass(frozen=True)
class Plan:
    """What is measured.

    depths: passages that the second stage scores; none for no second stage
    sizes: corpora of so many passages are searched besides the whole one
    latency_searches: timed one at a time, of each method on the whole corpus; 0 for none
    recall_weight: None for the collection's
    language: by whose rules words are stemmed
    """

    recalls: tuple[Recall, ...] = ("vector", "bm25", "hybrid")
    depths: tuple[int, ...] = (10, 20, 50)
    sizes: tuple[int, ...] = ()
    cutoffs: tuple[int, ...] = (1, 5, 10)
    concurrency: int = 4
    latency_searches: int = 50
    seed: int = 0
    recall_weight: float | None = None
    language: str = "english"

    @property
    def depth(self) -> int:
        """How deep every search goes."""
        return max(self.depths, default=max(RECALL_DEPTH, *self.cutoffs))

    @property
    def methods(self) -> list[Method]:
        return [Method(recall, depth) for recall in self.recalls for depth in (0, *sorted(self.depths))]

    @property
    def alone(self) -> dict[Method, Method]:
        """Each method of two stages, and its first stage alone."""
        return {method: replace(method, depth=0) for method in self.methods if method.depth}

    @property
    def by_first_recall(self) -> dict[Method, Method]:
        """Each method that has another first stage than the first of them, and that one with the same depth."""
        first = self.recalls[0]
        return {method: replace(method, recall=first) for method in self.methods if method.recall != first}

    @property
    def measured_cutoffs(self) -> list[int]:
        """Those that a search reaches, and its depth: what recall does not find there, no second stage can lift."""
        return sorted({cutoff for cutoff in self.cutoffs if cutoff < self.depth} | {self.depth})


@dataclass(frozen=True)
class Row:
    """One method on a corpus of one size. `llama_index` where BCEmbedding's settings can be had.

    first_stage: what the method gains by its first stage, over the plan's first one with the same depth
    second_stage: what it gains by the second stage, over its first one alone
    """

    method: Method
    passages: int
    measures: dict[str, Measured]
    llama_index: dict[str, float] | None = None
    latency: Latency | None = None
    first_stage: dict[str, Interval] | None = None
    second_stage: dict[str, Interval] | None = None

    def timed(self, timings: Mapping[Method, Latency]) -> "Row":
        return replace(self, latency=timings[self.method])


@dataclass
class Report:
    """What was measured. seconds: of each part of the work; the rows on the whole corpus come last.

    unread: queries that the reranker could not read, which both stages leave in recall order
    """

    dataset: str
    split: str
    queries: int
    passages: int
    plan: Plan
    recall_weight: float
    models: dict[str, Model]
    rows: list[Row] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    unread: int = 0

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[part] = round(self.seconds.get(part, 0.0) + time.monotonic() - started, 1)
