"""Passages whose order any reranker gets right: what answers a question, and what does not."""

import numpy as np

from services.rerank.scorer import Scorer
from serving.batching import Priority
from serving.rollout.verification import Refuted, require_agreement, require_order

PAIRS = (
    (
        "What is the capital of France?",
        "Paris is the capital and largest city of France.",
        "Bananas are rich in potassium.",
    ),
    (
        "How do I boil an egg?",
        "Put the egg into boiling water and take it out after eight minutes.",
        "The train to Hamburg leaves at six in the evening.",
    ),
    (
        "Who wrote Romeo and Juliet?",
        "Romeo and Juliet is a tragedy written by William Shakespeare.",
        "The human heart has four chambers.",
    ),
    (
        "What causes the tides?",
        "Tides are caused by the gravity of the moon and of the sun.",
        "The museum is closed on Mondays and holidays.",
    ),
    (
        "What are the symptoms of flu?",
        "Symptoms of flu are fever, cough, a sore throat and tiredness.",
        "The stadium holds fifty thousand people.",
    ),
    (
        "How do I sort a list in Python?",
        "Call sorted() to get the items of a list in order.",
        "The river rose over its banks after the storm.",
    ),
)
PARITY = 0.98  # of scores between 0 and 1; bf16 alone moves them by some thousandths
STEADY = 0.02


async def check(new: Scorer, old: Scorer | None, *, parity: bool) -> float | None:
    """The lowest of 1 - |difference of scores| over the pairs, None without an old model. Raises Refuted."""
    good, bad, scores = [], [], []
    for query, answer, other in PAIRS:
        scored = await new.score(query, [answer, other], "window", Priority.INTERACTIVE, None)
        good.append(float(scored.logits[0]))
        bad.append(float(scored.logits[1]))
        scores.append(scored.scores)
    found = np.array(scores)
    if not np.isfinite([*good, *bad]).all():
        raise Refuted("logits of canary texts are not finite")
    alone = await new.score(PAIRS[0][0], PAIRS[0][1:2], "window", Priority.INTERACTIVE, None)
    if abs(float(alone.scores[0]) - found[0][0]) > STEADY:
        raise Refuted("the score of a canary text depends on the texts that it is computed with")
    require_order(good, bad)
    agreement = None
    if old is not None:
        others = [
            (await old.score(query, passages, "window", Priority.INTERACTIVE, None)).scores
            for query, *passages in PAIRS
        ]
        agreement = float(1 - np.abs(found - np.array(others)).max())
    require_agreement(agreement, PARITY, parity=parity)
    return agreement
