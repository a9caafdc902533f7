"""Facts of a set that tell why the second stage gains there, or does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import Tokenizer

from tools.reranker_training.metrics import Candidates, Floats, fused, reciprocal_rank


def facts(group: Sequence[Candidates], weight: float) -> dict[str, float]:
    """Of one set's queries:

    recall_first: share for which recall alone has a relevant passage first
    passed_cosine, passed_logit: share of the other candidates that a relevant one passes, where recall found one
    unsure: share of the queries to which no candidate is relevant by its logit (above 0), where recall found one
    alone_lost_unsure: those of alone_lost that are among them
    alone_won, alone_lost, fused_won, fused_lost: queries whose first relevant passage came nearer to the top, or fell
    """
    recall = np.array([reciprocal_rank(each.cosine, each.relevant) for each in group])
    alone = np.array([reciprocal_rank(each.best, each.relevant) for each in group])
    both = np.array([reciprocal_rank(fused(each.best, each.cosine, weight), each.relevant) for each in group])
    unsure = np.array([bool((each.best <= 0).all()) for each in group])
    mixed = [each for each in group if each.relevant.any() and not each.relevant.all()]
    return {
        "recall_first": round(float((recall == 1.0).mean()), 4),
        "passed_cosine": round(float(np.mean([_passed(each.cosine, each) for each in mixed])), 4),
        "passed_logit": round(float(np.mean([_passed(each.best, each) for each in mixed])), 4),
        "unsure": round(float(unsure[[bool(each.relevant.any()) for each in group]].mean()), 4),
        "alone_lost_unsure": int(((alone < recall) & unsure).sum()),
        "alone_won": int((alone > recall).sum()),
        "alone_lost": int((alone < recall).sum()),
        "fused_won": int((both > recall).sum()),
        "fused_lost": int((both < recall).sum()),
    }


def unknown(tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """Share of the texts' tokens that the vocabulary has no piece for."""
    name = tokenizer.token_to_id("[UNK]")
    ids = np.concatenate([each.ids for each in tokenizer.encode_batch(list(texts), add_special_tokens=False)])
    return round(float((ids == name).mean()), 4)


def _passed(scores: Floats, each: Candidates) -> float:
    return float((scores[each.relevant][:, None] > scores[~each.relevant]).mean())
