"""Calibrations: stored with the collection, used by min_probability, for their own reranker only."""

import math
from typing import Any

import grpc
import pytest

from siftline.search.v1 import search_pb2 as pb
from tests.fakes.services import FakeRerank

FINGERPRINT = FakeRerank().fingerprint
PLATT = pb.Calibration(rerank_fingerprint=FINGERPRINT, platt=pb.Platt(slope=2.0, intercept=-1.0))
ISOTONIC = pb.Calibration(
    rerank_fingerprint=FINGERPRINT, isotonic=pb.Isotonic(logits=[-1.0, 1.0], probabilities=[0.2, 0.8])
)
TEXTS = {"a": "red cars on roads", "b": "red cars", "c": "red", "d": "blue"}  # logits 2, 0, -1, -2


@pytest.fixture
async def filled(gateway: Any) -> Any:
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="things"))
    documents = [pb.Document(id=name, text=text) for name, text in TEXTS.items()]
    await gateway.searches.Upsert(pb.UpsertRequest(collection="things", documents=documents))
    return gateway


def search(**more: Any) -> pb.SearchRequest:
    return pb.SearchRequest(collection="things", query="red cars on roads", **more)


async def calibrate(gateway: Any, calibration: pb.Calibration | None, **more: Any) -> pb.Collection:
    request = pb.SetCalibrationRequest(collection="things", calibration=calibration, **more)
    return (await gateway.searches.SetCalibration(request)).collection


async def code(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(caught.value.details())


async def test_is_stored_and_taken_away(filled: Any) -> None:
    stored = await calibrate(filled, PLATT, recall_weight=3.5)
    assert stored.calibration == PLATT
    assert stored.recall_weight == 3.5
    known = await filled.searches.GetCollection(pb.GetCollectionRequest(name="things"))
    assert known.collection == stored
    assert stored.count == 4
    assert (await calibrate(filled, ISOTONIC)).calibration == ISOTONIC
    taken = await calibrate(filled, None)
    assert not taken.HasField("calibration")
    assert taken.recall_weight == 3.5


@pytest.mark.parametrize(
    ("calibration", "expected"),
    [
        (PLATT, [1 / (1 + math.exp(-3)), 1 / (1 + math.exp(1)), 1 / (1 + math.exp(3)), 1 / (1 + math.exp(5))]),
        (ISOTONIC, [0.8, 0.5, 0.2, 0.2]),
    ],
)
async def test_hits_have_their_probability(filled: Any, calibration: pb.Calibration, expected: list[float]) -> None:
    assert not (await filled.searches.Search(search())).hits[0].HasField("probability")
    await calibrate(filled, calibration)
    hits = (await filled.searches.Search(search())).hits
    assert [hit.id for hit in hits] == ["a", "b", "c", "d"]
    assert [hit.probability for hit in hits] == pytest.approx(expected)


async def test_improbable_hits_are_left_out(filled: Any) -> None:
    await calibrate(filled, ISOTONIC)
    for floor, ids in ((0.0, "abcd"), (0.5, "ab"), (0.51, "a"), (0.81, "")):
        reply = await filled.searches.Search(search(min_probability=floor))
        assert "".join(hit.id for hit in reply.hits) == ids
        assert reply.recalled == 4


async def test_without_a_calibration_the_floor_is_refused(filled: Any) -> None:
    status, message = await code(filled.searches.Search(search(min_probability=0.5)))
    assert status is grpc.StatusCode.FAILED_PRECONDITION
    assert "siftline calibrate" in message


async def test_a_calibration_of_another_reranker_does_not_count(filled: Any) -> None:
    other = pb.Calibration(rerank_fingerprint="other", platt=PLATT.platt)
    await calibrate(filled, other)
    assert not (await filled.searches.Search(search())).hits[0].HasField("probability")
    status, message = await code(filled.searches.Search(search(min_probability=0.5)))
    assert status is grpc.StatusCode.FAILED_PRECONDITION
    assert FINGERPRINT in message
    assert "other" in message


def platt(slope: float, intercept: float) -> pb.Calibration:
    return pb.Calibration(rerank_fingerprint="f", platt=pb.Platt(slope=slope, intercept=intercept))


def isotonic(logits: list[float], probabilities: list[float]) -> pb.Calibration:
    points = pb.Isotonic(logits=logits, probabilities=probabilities)
    return pb.Calibration(rerank_fingerprint="f", isotonic=points)


@pytest.mark.parametrize(
    ("calibration", "field"),
    [
        (pb.Calibration(platt=PLATT.platt), "calibration.rerank_fingerprint"),
        (pb.Calibration(rerank_fingerprint="f"), "calibration.map"),
        (platt(0.0, 0.0), "calibration.platt.slope"),
        (platt(math.nan, 0.0), "calibration.platt.slope"),
        (platt(1.0, math.inf), "calibration.platt.intercept"),
        (isotonic([], []), "calibration.isotonic.logits"),
        (isotonic([0.0] * 1001, [0.0] * 1001), "calibration.isotonic.logits"),
        (isotonic([0.0, 0.0], [0.1, 0.2]), "calibration.isotonic.logits"),
        (isotonic([0.0, math.nan], [0.1, 0.2]), "calibration.isotonic.logits"),
        (isotonic([0.0, 1.0], [0.1]), "calibration.isotonic.probabilities"),
        (isotonic([0.0, 1.0], [0.2, 0.1]), "calibration.isotonic.probabilities"),
        (isotonic([0.0, 1.0], [0.2, 1.1]), "calibration.isotonic.probabilities"),
    ],
)
async def test_a_calibration_that_is_none_is_refused(filled: Any, calibration: pb.Calibration, field: str) -> None:
    status, message = await code(calibrate(filled, calibration))
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert field in message


@pytest.mark.parametrize("more", [{"min_probability": 1.5}, {"min_probability": math.nan}])
async def test_a_floor_that_is_none_is_refused(filled: Any, more: dict[str, float]) -> None:
    status, message = await code(filled.searches.Search(search(**more)))
    assert (status, "min_probability" in message) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_a_floor_needs_the_second_stage(filled: Any) -> None:
    await calibrate(filled, PLATT)
    status, message = await code(filled.searches.Search(search(min_probability=0.5, rerank=pb.RERANK_MODE_OFF)))
    assert (status, "min_probability" in message) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_a_collection_that_is_not_there(gateway: Any) -> None:
    assert (await code(calibrate(gateway, PLATT)))[0] is grpc.StatusCode.NOT_FOUND
