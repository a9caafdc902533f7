"""The second stage's head start: nothing is scored twice, and what goes wrong early costs a search nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.deadline import Deadline
from gateway.degradation import Degradation
from gateway.metrics import HEAD_START
from gateway.query import Hit, Query, RecallMode
from gateway.recall import Document, Passage
from gateway.reranking import Scores
from gateway.scoring import Scoring

MATCHING = [Passage(Document(f"d{n}", f"text {n}"), bm25=100.0 - n, text_rank=n + 1) for n in range(50)]


class Service:
    """Stands for Reranking. A passage's logit is the number in it; calls end as `outcomes` say, one after another."""

    def __init__(self, *outcomes: Any) -> None:
        self.idle = True
        self.calls: list[list[str]] = []
        self.fingerprints: list[str] = []
        self._outcomes = list(outcomes)

    async def score(self, query: str, passages: Sequence[str], left: float, fingerprint: str = "") -> Any:
        self.calls.append(list(passages))
        self.fingerprints.append(fingerprint)
        outcome = self._outcomes.pop(0) if self._outcomes else {}
        if isinstance(outcome, asyncio.Future):
            outcome = await outcome
        if isinstance(outcome, Degradation):
            return outcome
        found = [(float(passage.split()[-1]), 0.5) for passage in passages]
        return Scores(found, **({"fingerprint": "f", "windows": len(found)} | outcome))


def scoring(service: Any, *, head_start: bool = True, **asked: Any) -> Scoring:
    query = Query("c", "question", 10, **({"depth": 50, "mode": RecallMode.HYBRID} | asked))
    return Scoring(service, query, Deadline(10), "", head_start=head_start)


def hits(*numbers: int) -> list[Hit]:
    return [Hit(Passage(Document(f"d{n}", f"text {n}")), rank, 0.0, 0.0) for rank, n in enumerate(numbers, 1)]


def logits(found: Scores | Degradation) -> list[int]:
    assert isinstance(found, Scores)
    return [int(logit) for logit, _ in found.scores]


def counted() -> tuple[float, float]:
    used, unused = (HEAD_START.labels(outcome)._value.get() for outcome in ("used", "unused"))
    return used, unused


async def begun(service: Service) -> Scoring:
    """With d0 to d15 under way."""
    started = scoring(service)
    started.begin(started.head(MATCHING))
    await asyncio.sleep(0)
    assert service.calls == [[f"text {n}" for n in range(16)]]
    return started


async def test_nothing_is_scored_twice_and_the_order_is_that_of_the_hits() -> None:
    service = Service()
    started, before = await begun(service), counted()
    assert logits(await started.scores(hits(40, 3, 41, 0, 1))) == [40, 3, 41, 0, 1]
    assert service.calls[1:] == [["text 40", "text 41"]]
    started.cancel()
    assert counted() == (before[0] + 3, before[1] + 13)


async def test_the_rest_does_not_wait_for_the_head() -> None:
    head: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    service = Service(head)
    started = await begun(service)
    waiting = asyncio.create_task(started.scores(hits(40, 3)))
    while len(service.calls) < 2:
        await asyncio.sleep(0)
    assert not waiting.done()
    head.set_result({})
    assert logits(await waiting) == [40, 3]


async def test_a_list_that_has_nothing_else_is_one_call() -> None:
    service = Service()
    started = await begun(service)
    assert logits(await started.scores(hits(3, 1))) == [3, 1]
    assert len(service.calls) == 1


async def test_a_list_that_has_nothing_of_the_head() -> None:
    head: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    service = Service(head)
    started, before = await begun(service), counted()
    assert logits(await started.scores(hits(40, 41))) == [40, 41]
    await asyncio.sleep(0)
    assert head.cancelled()
    assert counted() == (before[0], before[1] + 16)


@pytest.mark.parametrize("reason", list(Degradation))
async def test_a_head_that_failed_before_is_sent_with_the_rest(reason: Degradation) -> None:
    service = Service(reason)
    started = await begun(service)
    await asyncio.sleep(0)
    assert logits(await started.scores(hits(40, 3))) == [40, 3]
    assert service.calls[1:] == [["text 40", "text 3"]]


@pytest.mark.parametrize("reason", [Degradation.RERANK_OVERLOADED, Degradation.RERANK_UNAVAILABLE])
async def test_a_head_that_fails_later_is_sent_once_more(reason: Degradation) -> None:
    for again, expected in (({}, [40, 3, 41]), (reason, reason)):
        head: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        service = Service(head, {}, again)
        started = await begun(service)
        waiting = asyncio.create_task(started.scores(hits(40, 3, 41)))
        while len(service.calls) < 2:
            await asyncio.sleep(0)
        head.set_result(reason)
        found = await waiting
        assert (found if isinstance(found, Degradation) else logits(found)) == expected
        assert service.calls[1:] == [["text 40", "text 41"], ["text 3"]]


async def test_a_head_that_is_late_is_not_waited_for_again() -> None:
    head: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    service = Service(head)
    started = await begun(service)
    waiting = asyncio.create_task(started.scores(hits(40, 3)))
    while len(service.calls) < 2:
        await asyncio.sleep(0)
    head.set_result(Degradation.RERANK_TIMEOUT)
    assert await waiting is Degradation.RERANK_TIMEOUT
    assert len(service.calls) == 2


async def test_when_the_rest_fails_the_head_is_given_up() -> None:
    head: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    service = Service(head, Degradation.RERANK_OVERLOADED)
    started = await begun(service)
    assert await started.scores(hits(40, 3)) is Degradation.RERANK_OVERLOADED
    started.cancel()  # as the search does at its end
    await asyncio.sleep(0)
    assert head.cancelled()


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        ({"fingerprint": "old"}, {"fingerprint": "new"}),
        ({"windows": 60, "max_windows": 100}, {"windows": 50, "max_windows": 100}),
        ({"cut": True}, {}),
    ],
)
async def test_scores_that_one_call_would_not_have_given_are_asked_for_in_one(head: Any, rest: Any) -> None:
    service = Service(head, rest)
    started = await begun(service)
    assert logits(await started.scores(hits(40, 3))) == [40, 3]
    assert service.calls[1:] == [["text 40"], ["text 40", "text 3"]]


async def test_the_model_of_one_part_has_to_answer_the_next() -> None:
    service = Service({"fingerprint": "new"})
    parts = scoring(service, adaptive=True)
    assert not parts.head(MATCHING)
    await parts.scores(hits(1))
    await parts.scores(hits(2))
    assert service.fingerprints == ["", "new"]


@pytest.mark.parametrize(
    ("found", "asked", "expected"),
    [
        (50, {}, 16),
        (50, {"depth": 100}, 50),  # certain, too
        (40, {}, 20),
        (12, {}, 12),
        (7, {}, 0),
        (20, {"depth": 20}, 0),
        (50, {"words_weight": 1.0}, 50),
        (50, {"words_weight": 0.0}, 0),
        (50, {"rerank": False}, 0),
        (50, {"adaptive": True}, 0),
        (50, {"head_start": False}, 0),
    ],
)
async def test_what_it_begins_with(found: int, asked: dict[str, Any], expected: int) -> None:
    assert len(scoring(Service(), **asked).head(MATCHING[:found])) == expected


async def test_it_does_not_begin_late_or_at_a_busy_service() -> None:
    late, busy = scoring(Service()), Service()
    late.close()
    busy.idle = False
    assert not late.head(MATCHING)
    assert not scoring(busy).head(MATCHING)
