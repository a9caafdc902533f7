"""Measures of rankings, per query: by pytrec_eval, and LlamaIndex's two as BCEmbedding computes them.

pytrec_eval: Van Gysel and de Rijke, SIGIR 2018, over NIST's trec_eval. nDCG has linear gain.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rankings = Mapping[str, Sequence[str]]
Relevant = Mapping[str, Mapping[str, int]]

# By our name: trec_eval's, which takes cut-offs.
_CUT = {"hit": "success", "MAP": "map_cut", "nDCG": "ndcg_cut", "recall": "recall"}

# BCEmbedding's LlamaIndex evaluation: recall 10; with a reranker its best 5 count, without one the first 5 of recall.
BCE_DEPTH, BCE_TOP = 10, 5


def per_query(rankings: Rankings, relevant: Relevant, cutoffs: Sequence[int]) -> dict[str, Floats]:
    """hit@k, MRR@k, MAP@k, nDCG@k and recall@k of each query, [queries] in the order of `rankings`.

    A query without a hit has 0; MAP@k divides by all that is relevant, as trec_eval does.
    """
    import pytrec_eval

    judged = {query: dict(relevant[query]) for query in rankings}
    listed = ",".join(map(str, cutoffs))
    evaluator = pytrec_eval.RelevanceEvaluator(judged, {f"{name}.{listed}" for name in _CUT.values()})
    results = evaluator.evaluate(_run(rankings))
    measured = {
        f"{ours}@{k}": np.array([results.get(query, {}).get(f"{theirs}_{k}", 0.0) for query in rankings])
        for ours, theirs in _CUT.items()
        for k in cutoffs
    }
    reciprocal = pytrec_eval.RelevanceEvaluator(judged, {"recip_rank"})
    for k in cutoffs:  # trec_eval's has no cut-off, so the ranking gets one
        results = reciprocal.evaluate(_run(rankings, k))
        measured[f"MRR@{k}"] = np.array([results.get(query, {}).get("recip_rank", 0.0) for query in rankings])
    return measured


def hit_rate(retrieved: Sequence[str], expected: Mapping[str, int]) -> float:
    """LlamaIndex's `HitRate`: whether anything expected was retrieved."""
    return float(any(identity in expected for identity in retrieved))


def reciprocal_rank(retrieved: Sequence[str], expected: Mapping[str, int]) -> float:
    """LlamaIndex's `MRR`: 1 / place of the first that was expected, 0 without one."""
    places = (place for place, identity in enumerate(retrieved, 1) if identity in expected)
    return next((1.0 / place for place in places), 0.0)


def llama_index(rankings: Rankings, relevant: Relevant) -> dict[str, float]:
    """Means times 100 over the first 5 of each ranking, which should be one of BCE_DEPTH passages."""
    cut = {query: ranking[:BCE_TOP] for query, ranking in rankings.items()}
    return {
        "hit_rate": 100 * float(np.mean([hit_rate(ranking, relevant[query]) for query, ranking in cut.items()])),
        "mrr": 100 * float(np.mean([reciprocal_rank(ranking, relevant[query]) for query, ranking in cut.items()])),
    }


def _run(rankings: Rankings, cutoff: int | None = None) -> dict[str, dict[str, float]]:
    """Scores that fall with the place: trec_eval orders by score and breaks ties by id, not by place."""
    return {
        query: {identity: float(-place) for place, identity in enumerate(ranking[:cutoff])}
        for query, ranking in rankings.items()
    }
