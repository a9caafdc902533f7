"""Which of the ordered hits are shown: those above the floors, one per value of a field, the best few."""

import json
from collections.abc import Iterable, Iterator

from gateway.query import Found, Hit, Query


def select(query: Query, found: Found) -> list[Hit]:
    """The hits to show, best first. Floors are for the scores they name: without those scores they are not applied."""
    hits: Iterable[Hit] = found.hits
    reranked = any(hit.logit is not None for hit in found.hits)
    if reranked or not (query.rerank or found.degraded):
        hits = (hit for hit in hits if _is_above(query, hit))
    if query.collapse:
        hits = _collapsed(query.collapse, hits)
    return list(hits)[: query.top_k]


def _is_above(query: Query, hit: Hit) -> bool:
    score = hit.recall_score if hit.probability is None else hit.probability
    if query.min_score is not None and score < query.min_score:
        return False
    return query.min_probability is None or (hit.calibrated or 0.0) >= query.min_probability


def _collapsed(field: str, hits: Iterable[Hit]) -> Iterator[Hit]:
    """The best hit of each value of the metadata field; documents without the field stand for themselves."""
    best: dict[str, Hit] = {}
    order: list[Hit] = []
    for hit in hits:
        metadata = hit.passage.document.metadata
        value = json.loads(metadata).get(field) if metadata else None
        first = best.setdefault(json.dumps(value), hit) if value is not None else hit
        if first is hit:
            hit.collapsed = 0
            order.append(hit)
        else:
            first.collapsed += 1
    return iter(order)
