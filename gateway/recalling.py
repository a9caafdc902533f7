"""The first stage: passages near the query's vector, or with its words, or both."""

import asyncio
from contextlib import closing

from gateway.deadline import Deadline
from gateway.degradation import Degradation
from gateway.embedder import Embedder
from gateway.fusion import reciprocal_rank_fusion
from gateway.metrics import stage
from gateway.query import Found, Hit, Query, RecallMode
from gateway.recall import Collection, Passage, Recall, Sought
from gateway.recall.filter import Filter
from gateway.recall.registry import check_model
from gateway.scoring import Scoring
from serving.errors import DeadlineExceeded, InvalidArgument, Overloaded, Unavailable
from siftline.embed.v1 import embed_pb2


class Recalling:
    """When the query can't be embedded in time, its words have to do, if `words_instead` allows it."""

    def __init__(self, index: Recall, embedder: Embedder, *, embed_budget_s: float, words_instead: bool) -> None:
        self._index = index
        self._embedder = embedder
        self.embed_budget_s = embed_budget_s
        self._words_instead = words_instead

    async def find(
        self,
        collection: Collection,
        query: Query,
        where: Filter | None,
        deadline: Deadline,
        found: Found,
        scoring: Scoring,
    ) -> list[Hit]:
        """Passages best first; what it learns on the way it notes in `found`. Raises as `Search.run` does."""
        if query.mode is RecallMode.HYBRID:
            return await self._by_both(collection, query, where, deadline, found, scoring)
        sought = Sought(query.depth, where)
        if query.mode is RecallMode.VECTOR:
            try:
                return await self._by_vector(collection, query, sought, deadline, found)
            except _NoVector:
                found.degraded.append(Degradation.EMBED_UNAVAILABLE)
        with stage("recall") as found.recall:
            found.matching = await self._index.matching(collection, query.text, sought, deadline.require())
        return _in_order_of_words(found.matching)

    async def _by_vector(
        self, collection: Collection, query: Query, sought: Sought, deadline: Deadline, found: Found
    ) -> list[Hit]:
        with stage("embed") as found.embed:
            vector = await self._embed(collection, query.text, deadline, found)
        with stage("recall") as found.recall:
            found.nearest = await self._index.nearest(collection, vector, sought, deadline.require())
        return [Hit(p, p.vector_rank, p.cosine or 0.0, p.cosine or 0.0) for p in found.nearest]

    async def _by_both(
        self,
        collection: Collection,
        query: Query,
        where: Filter | None,
        deadline: Deadline,
        found: Found,
        scoring: Scoring,
    ) -> list[Hit]:
        """Words are looked up while the query is embedded. Of texts, only those in the joined list are read, once."""
        sought = Sought(query.depth, where, texts=False)
        words = asyncio.create_task(self._words(collection, query, sought, deadline, scoring))
        words.add_done_callback(_retrieve)
        try:
            with stage("embed") as found.embed, closing(scoring):
                vector = await self._embed(collection, query.text, deadline, found)
            with stage("recall") as found.recall:
                found.nearest = await self._index.nearest(collection, vector, sought, deadline.require())
                found.matching = await words
                return await self._fuse(collection, vector, found, query, deadline)
        except _NoVector:
            found.degraded.append(Degradation.EMBED_UNAVAILABLE)
            with stage("recall") as found.recall:
                found.matching = await self._index.complete(collection, None, await words, deadline.require())
            return _in_order_of_words(found.matching)
        finally:
            words.cancel()

    async def _words(
        self, collection: Collection, query: Query, sought: Sought, deadline: Deadline, scoring: Scoring
    ) -> list[Passage]:
        """Passages without their texts, but for those that have a head start."""
        matching = await self._index.matching(collection, query.text, sought, deadline.require())
        if head := scoring.head(matching):
            scoring.begin(await self._index.complete(collection, None, head, deadline.require()))
        return matching

    async def _embed(self, collection: Collection, text: str, deadline: Deadline, found: Found) -> bytes:
        request = embed_pb2.EmbedRequest(
            texts=[text],
            side=embed_pb2.SIDE_QUERY,
            dtype=embed_pb2.DTYPE_FLOAT16,
            truncation=embed_pb2.TRUNCATION_END,
            priority=embed_pb2.PRIORITY_INTERACTIVE,
        )
        try:
            budget = Deadline(min(self.embed_budget_s, deadline.require() / 2))
            embedded = await self._embedder.embed_with(collection.fingerprint, request, budget)
        except (Unavailable, Overloaded, DeadlineExceeded) as error:
            if self._words_instead:
                raise _NoVector from error
            raise
        except InvalidArgument as error:
            raise InvalidArgument("query", str(error).removeprefix(f"{error.field}: ")) from error
        check_model(collection, embedded.fingerprint)
        found.embed_fingerprint = embedded.fingerprint
        found.cached = embedded.cached > 0
        return embedded.rows[0].vector

    async def _fuse(
        self, collection: Collection, vector: bytes, found: Found, query: Query, deadline: Deadline
    ) -> list[Hit]:
        fused = reciprocal_rank_fusion(found.nearest, found.matching, query.words_weight)[: query.depth]
        scores = {passage.document.id: score for passage, score in fused}
        passages = [passage for passage, _ in fused]
        whole = await self._index.complete(collection, vector, passages, deadline.require()) if passages else []
        return [Hit(p, rank, p.cosine or 0.0, scores[p.document.id]) for rank, p in enumerate(whole, 1)]


class _NoVector(Exception):
    """The query could not be embedded, and words will do."""


def _in_order_of_words(passages: list[Passage]) -> list[Hit]:
    return [Hit(p, p.text_rank, p.bm25 or 0.0, p.bm25 or 0.0) for p in passages]


def _retrieve(task: "asyncio.Task[list[Passage]]") -> None:
    """Marks a failure as seen: it is raised where the task is awaited, or another failure came first."""
    if not task.cancelled():
        task.exception()
