"""The rerank service through the wire: scores, windows, order."""

import math

import pytest

from siftline.rerank.v1 import rerank_pb2 as pb

QUERY = "how are batches formed?"
PASSAGES = [
    "Bananas are rich in potassium.",
    "A batch is formed from rows of about the same length, up to a budget of tokens.",
    "",
    "The batcher forms batches by length.",
]
LOGIT_BF16 = 0.1


def score(rerank, **fields):
    return rerank.Rerank(pb.RerankRequest(query=QUERY, **fields))


def test_best_first_with_indices_of_the_request(rerank) -> None:
    results = score(rerank, passages=PASSAGES).results
    assert sorted(r.index for r in results) == [0, 1, 2, 3]
    assert [r.logit for r in results] == sorted((r.logit for r in results), reverse=True)
    assert results[0].index in (1, 3)


def test_score_is_the_sigmoid_of_the_logit_in_double(rerank) -> None:
    for result in score(rerank, passages=PASSAGES).results:
        assert result.score == pytest.approx(1 / (1 + math.exp(-result.logit)), rel=1e-12)


def test_top_n_and_input_order(rerank) -> None:
    best = score(rerank, passages=PASSAGES, top_n=2).results
    kept = score(rerank, passages=PASSAGES, top_n=2, order=pb.ORDER_INPUT).results
    assert sorted(r.index for r in best) == [r.index for r in kept]
    assert len(score(rerank, passages=PASSAGES, top_n=100).results) == len(PASSAGES)


def test_a_long_passage_scores_as_its_best_window(rerank) -> None:
    filler = "Nothing of interest stands in this sentence. " * 150
    long = filler + PASSAGES[1] + " " + filler
    windowed, cut = (
        score(rerank, passages=[long], long_passage=policy).results[0]
        for policy in (pb.LONG_PASSAGE_WINDOW, pb.LONG_PASSAGE_TRUNCATE)
    )
    assert windowed.windows > 3
    assert not windowed.truncated
    assert (cut.windows, cut.truncated) == (1, True)
    assert windowed.logit > cut.logit


def test_same_pair_same_score_whatever_else_is_in_the_batch(rerank) -> None:
    alone = score(rerank, passages=[PASSAGES[1]]).results[0].logit
    mates = [p + " and some more" * (i % 30) for i, p in enumerate(PASSAGES * 15)]
    among = score(rerank, passages=[*mates, PASSAGES[1]], order=pb.ORDER_INPUT).results[-1].logit
    assert among == pytest.approx(alone, abs=LOGIT_BF16)


def test_timings_and_tokens(rerank) -> None:
    response = score(rerank, passages=PASSAGES)
    assert response.timings.total_us >= response.timings.compute_us > 0
    assert response.tokens > 4 * 6
    assert response.fingerprint == rerank.GetModel(pb.GetModelRequest()).fingerprint


def test_a_query_that_the_model_cannot_read_is_scored_unless_asked_not_to(rerank) -> None:
    def asked(query: str, **fields):
        return rerank.Rerank(pb.RerankRequest(query=query, passages=PASSAGES, **fields))

    chinese = "如何把列表排序？"
    scored = asked(chinese)
    assert len(scored.results) == len(PASSAGES)
    assert 0.5 < scored.query_unknown < 1
    assert not scored.unreadable
    skipped = asked(chinese, max_query_unknown=0.5)
    assert (skipped.unreadable, list(skipped.results), skipped.query_unknown) == (True, [], scored.query_unknown)
    assert (skipped.tokens, skipped.timings.compute_us) == (0, 0)  # the engine had nothing to do
    assert skipped.fingerprint == scored.fingerprint
    assert asked(chinese, max_query_unknown=scored.query_unknown).results
    english = asked(QUERY, max_query_unknown=0)
    assert (english.query_unknown, english.unreadable, len(english.results)) == (0, False, len(PASSAGES))
