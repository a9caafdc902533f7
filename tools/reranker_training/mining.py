"""Hard negatives: what the recall stage itself ranks high without being relevant."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.reranker_training.embedder import Embedder, Vectors
from tools.reranker_training.judged_set import JudgedSet

QUERY_CHUNK = 1024


@dataclass(frozen=True)
class TrainingRow:
    """One query with a relevant text and its mined negatives, hardest (highest ranked) first."""

    source: str
    query: str
    positive: str
    negatives: tuple[str, ...]


def is_validation(document: str) -> bool:
    """Whether a document is kept out of training: one in sixteen, by the digest of its id."""
    return hashlib.sha256(document.encode()).digest()[0] % 16 == 0


def mine_rows(sets: Sequence[JudgedSet], embedder: Embedder, depth: int, keep: int) -> list[TrainingRow]:
    """Ranks the pooled documents of all the sets for each query and keeps the best that are not relevant.

    Validation documents are neither positives nor negatives, and a query that has one is left out.

    Args:
        sets: Training splits whose ``documents`` hold nothing that a test may show.
        embedder: The recall stage.
        depth: A query stays only if a relevant document is among this many first ones, as in serving.
        keep: Negatives kept per query.
    """
    pool = {document: text for judged in sets for document, text in judged.documents.items()}
    identities = np.array(list(pool))
    vectors = embedder.encode(list(pool.values()))
    rows: list[TrainingRow] = []
    for judged in sets:
        queries = list(judged.queries)
        for query, ranking in zip(queries, ranked(embedder, judged, vectors, depth), strict=True):
            rows.extend(_row(judged, query, identities[ranking].tolist(), pool, keep))
    return rows


def ranked(embedder: Embedder, judged: JudgedSet, vectors: Vectors, depth: int) -> list[NDArray[np.int64]]:
    """Per query of the set, the row numbers of the ``depth`` nearest vectors, nearest first."""
    queries = embedder.encode(list(judged.queries.values()))
    rankings: list[NDArray[np.int64]] = []
    for start in range(0, len(queries), QUERY_CHUNK):
        scores = queries[start : start + QUERY_CHUNK] @ vectors.T
        rankings.extend(np.argsort(-scores, axis=1, kind="stable")[:, :depth])
    return rankings


def _row(judged: JudgedSet, query: str, ranking: Sequence[str], pool: dict[str, str], keep: int) -> list[TrainingRow]:
    relevant = judged.relevant[query]
    if any(is_validation(document) for document in relevant):
        return []
    found = [document for document in ranking if document in relevant]
    same = {pool[document] for document in relevant if document in pool}
    others = [document for document in ranking if document not in relevant and not is_validation(document)]
    negatives = [pool[document] for document in others if pool[document] not in same]
    if not found or not negatives:
        return []
    return [TrainingRow(judged.name, judged.queries[query], pool[found[0]], tuple(negatives[:keep]))]
