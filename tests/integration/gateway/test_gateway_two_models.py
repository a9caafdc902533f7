"""During a rollout the services have two models: each collection gets its own, and all of them move together."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import grpc
import pytest

from siftline.search.v1 import search_pb2 as pb
from tests.running.waiting import until

OLD, NEW = "f" * 32, "9" * 32
TEXTS = [f"word{number} and word{number + 1}" for number in range(30)]


def key(secret: str, tenant: str) -> str:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return f'[[keys]]\nname = "k"\nsha256 = "{digest}"\nscopes = ["search", "write", "admin"]\ntenant = "{tenant}"\n'


def by(secret: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {secret}"),)


@pytest.fixture
async def tenants(gateways: Any, redis_server: Any, tmp_path: Path) -> Any:
    """A gateway in which two tenants have a collection each; the embed service has a second model."""
    keys = tmp_path / "keys.toml"
    keys.write_text(key("operator", "") + key("a", "a") + key("b", "b"))
    gateway = await gateways.start(redis_server.url, keys_file=keys)
    await gateway.until_ready()
    for tenant in ("a", "b"):
        await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"), metadata=by(tenant))
        documents = [pb.Document(id=f"d{number}", text=text) for number, text in enumerate(TEXTS)]
        await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=documents), metadata=by(tenant))
    gateway.embed.others = {NEW: "new weights"}
    return gateway


async def search(gateway: Any, tenant: str) -> pb.SearchResponse:
    request = pb.SearchRequest(collection="c", query=TEXTS[7], rerank=pb.RERANK_MODE_OFF)
    reply: pb.SearchResponse = await gateway.searches.Search(request, metadata=by(tenant))
    return reply


async def test_all_collections_move_while_they_are_searched(tenants: Any) -> None:
    done = asyncio.Event()

    seen: dict[str, set[str]] = {"a": set(), "b": set()}

    async def look(tenant: str) -> None:
        while not done.is_set():
            reply = await search(tenants, tenant)
            assert reply.hits[0].id == "d7"
            assert reply.hits[0].recall_score > 0.99
            seen[tenant].add(reply.embed_fingerprint)

    async def until_both_see(*models: str) -> None:
        await until(
            lambda: all(found == set(models) for found in seen.values()) or any(each.done() for each in looking)
        )

    looking = [asyncio.create_task(look(tenant)) for tenant in seen]
    await until_both_see(OLD)
    request = pb.ReindexAllRequest(old_fingerprint=OLD, new_fingerprint=NEW)
    reply = await tenants.searches.ReindexAll(request, metadata=by("operator"), timeout=60)
    assert (reply.collections, reply.documents) == (2, 60)
    await until_both_see(OLD, NEW)
    done.set()
    await asyncio.gather(*looking)  # raises what any of the looks raised
    again = await tenants.searches.ReindexAll(request, metadata=by("operator"))
    assert again.collections == 0


async def test_a_tenant_moves_nobody_elses(tenants: Any) -> None:
    request = pb.ReindexAllRequest(old_fingerprint=OLD, new_fingerprint=NEW)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tenants.searches.ReindexAll(request, metadata=by("a"))
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_a_model_that_is_not_there(tenants: Any) -> None:
    request = pb.ReindexAllRequest(old_fingerprint=OLD, new_fingerprint="8" * 32)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tenants.searches.ReindexAll(request, metadata=by("operator"))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert (await search(tenants, "a")).embed_fingerprint == OLD


async def test_probabilities_come_from_the_reranker_that_they_were_fitted_to(gateway: Any) -> None:
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"))
    await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=[pb.Document(id="d", text=TEXTS[0])]))
    calibration = pb.Calibration(rerank_fingerprint="e" * 32, platt=pb.Platt(slope=1, intercept=0))
    await gateway.searches.SetCalibration(pb.SetCalibrationRequest(collection="c", calibration=calibration))
    gateway.rerank.fingerprint, gateway.rerank.others = "7" * 32, {"e" * 32}
    plain = pb.SearchRequest(collection="c", query=TEXTS[0])
    calibrated = pb.SearchRequest(collection="c", query=TEXTS[0], min_probability=0.0)
    assert (await gateway.searches.Search(plain)).rerank_fingerprint == "7" * 32
    assert (await gateway.searches.Search(calibrated)).rerank_fingerprint == "e" * 32
    gateway.rerank.others = set()
    found = await gateway.searches.Search(calibrated)  # the gateway learns from this refusal that the old one is gone
    assert list(found.degraded) == [pb.DEGRADED_RERANK_UNAVAILABLE]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Search(calibrated)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
