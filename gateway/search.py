"""The search: embed the query, recall passages, rerank them, give the best back. Read `Search.run` top to bottom."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from gateway.deadline import Deadline
from gateway.embedder import Embedder
from gateway.fusion import reciprocal_rank_fusion
from gateway.metrics import Stopwatch, stage
from gateway.recall import Collection, Passage, Recall
from gateway.recall.registry import Registry, check_model
from gateway.reranking import Degradation, Reranking
from siftline.embed.v1 import embed_pb2


class RecallMode(Enum):
    VECTOR = 1
    BM25 = 2
    HYBRID = 3


@dataclass(frozen=True, slots=True)
class Query:
    """A search as asked, checked. `recall_weight` None means the collection's."""

    collection: str
    text: str
    top_k: int
    depth: int
    mode: RecallMode = RecallMode.VECTOR
    rerank: bool = True
    min_score: float | None = None
    filter: str = ""
    recall_weight: float | None = None


@dataclass(slots=True)
class Hit:
    """`score` decides the order: the recall score, or logit + recall_weight * cosine once reranked."""

    passage: Passage
    recall_rank: int
    recall_score: float
    score: float
    logit: float | None = None
    probability: float | None = None


@dataclass(slots=True)
class Found:
    """The answer, and how it came about."""

    hits: list[Hit] = field(default_factory=list)
    recalled: int = 0
    degraded: Degradation | None = None
    embed_fingerprint: str = ""
    rerank_fingerprint: str = ""
    cached: bool = False
    embed: Stopwatch = field(default_factory=Stopwatch)
    recall: Stopwatch = field(default_factory=Stopwatch)
    rerank: Stopwatch = field(default_factory=Stopwatch)


class Search:
    """Two stages. When the second one fails or is late, recall order is the answer and `degraded` says why."""

    def __init__(self, registry: Registry, index: Recall, embedder: Embedder, reranking: Reranking) -> None:
        self._registry = registry
        self._index = index
        self._embedder = embedder
        self._reranking = reranking

    async def run(self, query: Query, deadline: Deadline) -> Found:
        """Raises NotFound, FailedPrecondition, InvalidArgument("filter"), Unavailable, Overloaded, DeadlineExceeded."""
        found = Found()
        collection = await self._registry.get(query.collection)
        found.hits = await self._recall(collection, query, deadline, found)
        found.recalled = len(found.hits)
        if query.rerank and found.hits:
            with stage("rerank") as found.rerank:
                await self._rerank(collection, query, deadline, found)
        if query.min_score is not None and found.degraded is None:
            found.hits = [hit for hit in found.hits if _shown(hit) >= query.min_score]
        del found.hits[query.top_k :]
        return found

    async def _recall(self, collection: Collection, query: Query, deadline: Deadline, found: Found) -> list[Hit]:
        words = asyncio.create_task(self._matching(collection, query, deadline))  # runs while the query is embedded
        words.add_done_callback(_retrieve)
        try:
            if query.mode is RecallMode.BM25:
                with stage("recall") as found.recall:
                    return [Hit(p, p.text_rank, p.bm25 or 0.0, p.bm25 or 0.0) for p in await words]
            with stage("embed") as found.embed:
                vector = await self._embed(collection, query.text, deadline, found)
            with stage("recall") as found.recall:
                nearest = await self._index.nearest(collection, vector, query.depth, query.filter, deadline.require())
                if query.mode is RecallMode.VECTOR:
                    return [Hit(p, p.vector_rank, p.cosine or 0.0, p.cosine or 0.0) for p in nearest]
                return await self._fuse(collection, query, vector, nearest, await words, deadline)
        finally:
            words.cancel()

    async def _matching(self, collection: Collection, query: Query, deadline: Deadline) -> list[Passage]:
        if query.mode is RecallMode.VECTOR:
            return []
        return await self._index.matching(collection, query.text, query.depth, query.filter, deadline.require())

    async def _embed(self, collection: Collection, text: str, deadline: Deadline, found: Found) -> bytes:
        request = embed_pb2.EmbedRequest(
            texts=[text],
            side=embed_pb2.SIDE_QUERY,
            dtype=embed_pb2.DTYPE_FLOAT16,
            truncation=embed_pb2.TRUNCATION_END,
            priority=embed_pb2.PRIORITY_INTERACTIVE,
        )
        embedded = await self._embedder.embed_with(collection.fingerprint, request, deadline)
        check_model(collection, embedded.fingerprint)
        found.embed_fingerprint = embedded.fingerprint
        found.cached = embedded.cached > 0
        return embedded.rows[0].vector

    async def _fuse(
        self,
        collection: Collection,
        query: Query,
        vector: bytes,
        nearest: list[Passage],
        words: list[Passage],
        deadline: Deadline,
    ) -> list[Hit]:
        fused = reciprocal_rank_fusion(nearest, words)[: query.depth]
        unknown = [passage for passage, _ in fused if passage.cosine is None]
        if unknown:
            documents = [passage.document for passage in unknown]
            cosines = await self._index.cosines(collection, vector, documents, deadline.require())
            for passage, cosine in zip(unknown, cosines, strict=True):
                passage.cosine = cosine
        return [Hit(passage, rank, passage.cosine or 0.0, score) for rank, (passage, score) in enumerate(fused, 1)]

    async def _rerank(self, collection: Collection, query: Query, deadline: Deadline, found: Found) -> None:
        passages = [hit.passage.document.passage for hit in found.hits]
        scored = await self._reranking.score(query.text, passages, deadline)
        if isinstance(scored, Degradation):
            found.degraded = scored
            return
        weight = collection.recall_weight if query.recall_weight is None else query.recall_weight
        for hit, (logit, probability) in zip(found.hits, scored.scores, strict=True):
            hit.logit, hit.probability = logit, probability
            hit.score = logit + weight * (hit.passage.cosine or 0.0)
        found.hits.sort(key=lambda hit: (-hit.score, hit.recall_rank))
        found.rerank_fingerprint = scored.fingerprint


def _retrieve(task: "asyncio.Task[list[Passage]]") -> None:
    """Marks a failure as seen: it is raised where the task is awaited, or another failure came first."""
    if not task.cancelled():
        task.exception()


def _shown(hit: Hit) -> float:
    """What `min_score` is compared with."""
    return hit.recall_score if hit.probability is None else hit.probability
