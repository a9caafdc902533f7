"""Small requests that come together are one call, and nobody is the worse for it."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from gateway import joint_calls
from gateway.deadline import Deadline
from gateway.joint_calls import JointCalls
from serving import incoming, logs, tracing
from serving.errors import DeadlineExceeded, InvalidArgument, Overloaded
from siftline.embed.v1 import embed_pb2
from siftline.embed.v1.embed_pb2 import EmbedRequest, EmbedResponse


class Service:
    """Answers with a text's length and its token count; refuses the text "bad"; `wait` before that."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.metadata: list[dict[str, str]] = []
        self.seconds: list[float] = []
        self.wait: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)
        self.error: Exception | None = None

    async def embed(self, request: EmbedRequest, deadline: Deadline) -> EmbedResponse:
        self.calls.append(list(request.texts))
        self.metadata.append(dict(incoming.carried()))
        self.seconds.append(deadline.left)
        await self.wait()
        if self.error is not None:
            raise self.error
        if "bad" in request.texts:
            raise InvalidArgument(f"texts[{list(request.texts).index('bad')}]", "is bad")
        return EmbedResponse(
            vectors=np.array([[len(text), 7] for text in request.texts], "<f4").tobytes(),
            count=len(request.texts),
            dimensions=2,
            token_counts=[len(text.split()) for text in request.texts],
            truncated=[text == "long" for text in request.texts],
            windows=[len(text.split("/")) for text in request.texts],
            dtype=embed_pb2.DTYPE_INT8,
            fingerprint="f",
            timings=embed_pb2.Timings(queue_us=3),
        )


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def joint(service: Service) -> JointCalls:
    return JointCalls(service.embed)


async def ask(joint: JointCalls, *texts: str, seconds: float = 60.0, **fields: object) -> EmbedResponse:
    return await joint.embed(EmbedRequest(texts=texts, **fields), Deadline(seconds))  # type: ignore[arg-type]


NEVER_JOINED = {"cached", "sparse", "multi_vectors"}  # the gateway's own, and what is asked for by `outputs`


async def test_each_gets_what_it_would_get_alone(joint: JointCalls, service: Service) -> None:
    requests = ["a"], ["four", "long"], ["two words", "in/windows"]
    replies = await asyncio.gather(*(ask(joint, *texts) for texts in requests))
    assert service.calls == [[text for texts in requests for text in texts]]
    assert replies == [await ask(joint, *texts) for texts in requests]
    told = {field.name for field, _ in replies[1].ListFields()}
    assert told == set(EmbedResponse.DESCRIPTOR.fields_by_name) - NEVER_JOINED


async def test_no_more_than_so_many_in_one_call(joint: JointCalls, service: Service) -> None:
    await asyncio.gather(*(ask(joint, "a") for _ in range(joint_calls._MOST_REQUESTS + 3)))
    assert [len(call) for call in service.calls] == [joint_calls._MOST_REQUESTS, 3]


async def test_what_asks_for_something_else_is_a_call_of_its_own(joint: JointCalls, service: Service) -> None:
    await asyncio.gather(
        ask(joint, "a"),
        ask(joint, "b", side=embed_pb2.SIDE_QUERY),
        ask(joint, "c", priority=embed_pb2.PRIORITY_BULK),
        ask(joint, "d", prompt_text="p"),
        ask(joint, "e", outputs=[embed_pb2.OUTPUT_SPARSE]),
        ask(joint, "f", prompt_texts=["p"]),
        ask(joint, "g" * 300),
        ask(joint, "h"),
    )
    assert sorted(service.calls) == [["a", "h"], *([text] for text in ("b", "c", "d", "e", "f", "g" * 300))]


async def test_a_bad_text_is_only_its_senders_problem(joint: JointCalls, service: Service) -> None:
    bad = asyncio.create_task(ask(joint, "x", "bad"))
    good = await asyncio.gather(ask(joint, "a"), ask(joint, "b"))
    assert [reply.count for reply in good] == [1, 1]
    with pytest.raises(InvalidArgument) as refused:
        await bad
    assert refused.value.field == "texts[1]"
    assert sorted(service.calls[1:]) == [["a"], ["b"], ["x", "bad"]]


@pytest.mark.parametrize("error", [Overloaded("full", retry_after=2.0), RuntimeError("unforeseen")])
async def test_what_holds_for_all_is_told_to_all(joint: JointCalls, service: Service, error: Exception) -> None:
    service.error = error
    told = await asyncio.gather(ask(joint, "a"), ask(joint, "b"), return_exceptions=True)
    assert list(told) == [error, error]
    assert len(service.calls) == 1


async def test_who_leaves_does_not_end_the_others_call(joint: JointCalls, service: Service) -> None:
    going = asyncio.Event()
    service.wait = going.wait
    leaving, staying = asyncio.create_task(ask(joint, "a")), asyncio.create_task(ask(joint, "b"))
    while not service.calls:
        await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait({leaving})
    going.set()
    assert (await staying).count == 1
    assert leaving.cancelled()


async def test_a_call_that_nobody_waits_for_ends(joint: JointCalls, service: Service) -> None:
    ended = asyncio.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    service.wait = for_ever
    waiting = [asyncio.create_task(ask(joint, text)) for text in "ab"]
    while not service.calls:
        await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    await asyncio.wait_for(ended.wait(), 10)


async def test_each_has_its_own_deadline(joint: JointCalls, service: Service) -> None:
    going = asyncio.Event()
    service.wait = going.wait
    patient = asyncio.create_task(ask(joint, "b", seconds=60.0))
    with pytest.raises(DeadlineExceeded):
        await ask(joint, "a", seconds=0.5)
    going.set()
    assert (await patient).count == 1
    assert sorted(service.calls[0]) == ["a", "b"]
    assert service.seconds[0] > 50


async def test_the_call_says_for_whom_it_is_made(joint: JointCalls, service: Service) -> None:
    async def as_call(name: str) -> None:
        logs.begin(name)
        await ask(joint, name)

    await asyncio.gather(*(asyncio.create_task(as_call(name)) for name in ("one", "two", "three")))
    assert service.metadata == [{"x-request-id": "one", "x-joined-request-ids": "two,three"}]


async def test_what_is_traced_goes_alone(joint: JointCalls, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "current", lambda: "a span")
    await asyncio.gather(ask(joint, "a"), ask(joint, "b"))
    assert service.calls == [["a"], ["b"]]
