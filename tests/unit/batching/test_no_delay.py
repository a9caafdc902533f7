"""Nothing waits for company or for a timer: what the engine has room for leaves at once."""

import asyncio

import pytest

from tests.unit.batching.simulation import SECONDS_PER_TOKEN, FakeEngine, closed_loop, make, now, request, simulate


def test_idle_service_dispatches_at_once() -> None:
    async def world() -> None:
        engine = FakeEngine()
        completed = await make(engine).submit(request(56))
        assert engine.batches[0].sent == 0
        assert now() == pytest.approx(56 * SECONDS_PER_TOKEN)
        assert completed.queue_seconds == 0
        assert completed.compute_seconds == pytest.approx(56 * SECONDS_PER_TOKEN)

    simulate(world())


def test_no_timer_per_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT-LLM's batcher arms a timer for every item it takes from its queue."""

    async def world() -> None:
        engine, loop = FakeEngine(), asyncio.get_running_loop()
        armed: list[float] = []
        call_at = loop.call_at

        def counting(when: float, *rest: object, **options: object) -> asyncio.TimerHandle:
            armed.append(when)
            return call_at(when, *rest, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(loop, "call_at", counting)
        await closed_loop(make(engine), [[10, 20, 30]] * 50, clients=8)
        assert len(armed) == len(engine.batches), "only the fake engine's own"

    simulate(world())


def test_requests_of_one_moment_share_batches() -> None:
    async def world() -> FakeEngine:
        engine = FakeEngine(instances=1)
        batcher = make(engine, in_flight=1)
        await asyncio.gather(*(batcher.submit(request(20)) for _ in range(30)))
        return engine

    assert [len(batch.ids) for batch in simulate(world()).batches] == [30]


def test_small_queue_is_shared_by_idle_instances() -> None:
    async def world() -> FakeEngine:
        engine = FakeEngine(instances=4)
        await make(engine, in_flight=5).submit(request(*[32] * 20))
        return engine

    engine = simulate(world())
    assert [len(batch.ids) for batch in engine.batches] == [5, 5, 5, 5]
    assert {batch.begun for batch in engine.batches} == {0}


@pytest.mark.parametrize("in_flight", [1, 2, 3, 8])
def test_in_flight_limit_is_held_and_used(in_flight: int) -> None:
    async def world() -> FakeEngine:
        engine = FakeEngine(instances=2)
        await closed_loop(make(engine, in_flight=in_flight), [[40, 60]] * 400, clients=200)
        return engine

    assert simulate(world()).most_running == in_flight


def test_engine_is_never_idle_while_something_waits() -> None:
    async def world() -> FakeEngine:
        engine = FakeEngine(instances=2)
        await closed_loop(make(engine), [[40, 60]] * 400, clients=200)
        return engine

    engine = simulate(world())
    work = sum(batch.computed for batch in engine.batches) * engine.seconds_per_token / engine.instances
    assert max(batch.ended for batch in engine.batches) <= work + max(b.ended - b.begun for b in engine.batches)
