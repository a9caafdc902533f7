"""What each first stage finds for every query, with the second stage's scores.

A pair of query and passage is scored once, whichever first stages and corpora find it: its score depends on nothing but
the pair. So the first search of a query is one of both stages; later ones are of the first stage alone, and the
second one is asked for the pairs that are new, by a search that can find nothing else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import grpc

from siftline.client import AsyncClient
from siftline.errors import SiftlineError
from siftline.evaluation.collection import Corpus
from siftline.evaluation.dataset import Dataset
from siftline.evaluation.methods import Candidate, scored
from siftline.evaluation.progress import Bars
from siftline.evaluation.report import Plan
from siftline.evaluation.searching import How, search_all
from siftline.results import Recall

Found = dict[str, tuple[Candidate, ...]]


@dataclass
class Finder:
    """recall_weight: of the order by both stages. unread: the queries that the reranker could not read."""

    client: AsyncClient
    corpus: Corpus
    dataset: Dataset
    plan: Plan
    recall_weight: float
    bars: Bars
    unread: set[str] = field(default_factory=set)
    _logits: dict[str, dict[str, float]] = field(default_factory=dict)

    async def find(self, recall: Recall, size: int, known: Found) -> Found:
        """Candidates of all queries in recall order, by query; those `known` of another run are not searched for.

        Raises SiftlineError.
        """
        self._learn(known)
        missing = self.dataset.queries.keys() - known.keys()
        new = missing - self._logits.keys()
        title = f"{recall}, {size:,} passages"
        found = known | await self._search(title, new, How(recall, self.plan.depth, bool(self.plan.depths)), size)
        self._learn(found)
        recalled = await self._search(title, missing - new, How(recall, self.plan.depth, rerank=False), size)
        await self._score(recall, recalled)
        found |= {query: self._complete(query, each) for query, each in recalled.items()}
        return {query: found[query] for query in self.dataset.queries}

    def _learn(self, found: Found) -> None:
        """Scores of pairs; for an evaluation without the second stage there is nothing to learn."""
        for query, candidates in found.items() if self.plan.depths else ():
            logits = {each.id: each.logit for each in candidates if each.logit is not None}
            self._logits.setdefault(query, {}).update(logits)
            if candidates and not logits:
                self.unread.add(query)

    async def _search(self, title: str, queries: Iterable[str], how: How, size: int) -> Found:
        relevant = self.dataset.relevant
        return await self._ask(title, queries, how, lambda query: self.corpus.subset(size, relevant[query]))

    async def _score(self, recall: Recall, recalled: Mapping[str, tuple[Candidate, ...]]) -> None:
        """Learns the pairs of these searches that are not known yet."""
        new = {
            query: [each.id for each in candidates if each.id not in self._logits[query]]
            for query, candidates in recalled.items()
            if query not in self.unread
        }
        asked = [query for query, ids in new.items() if ids]
        how = How("vector", self.plan.depth, rerank=True)
        scores = await self._ask(f"{recall}, new pairs", asked, how, lambda query: self.corpus.only(new[query]))
        self._learn(scores)
        for query in asked:
            if lost := [identity for identity in new[query] if identity not in self._logits[query]]:
                problem = f"query {query!r}: passages {lost} were found, and then were not to be found again"
                raise SiftlineError(problem, code=grpc.StatusCode.INTERNAL)

    async def _ask(self, title: str, queries: Iterable[str], how: How, filters: Callable[[str], str]) -> Found:
        texts = {query: self.dataset.queries[query] for query in sorted(queries)}
        if not texts:
            return {}
        how = replace(how, recall_weight=self.recall_weight)
        with self.bars(title, len(texts)) as shown:
            return await search_all(
                self.client,
                self.corpus.collection,
                texts,
                how,
                filters=filters,
                concurrency=self.plan.concurrency,
                report=shown,
            )

    def _complete(self, query: str, candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
        logits = self._logits[query]
        return tuple(scored(each, logits.get(each.id), self.recall_weight) for each in candidates)
