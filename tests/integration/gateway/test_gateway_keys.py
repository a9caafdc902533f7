"""API keys through the wire: who may call what, as which tenant, and how keys change."""

import asyncio
import hashlib
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from grpc_health.v1 import health_pb2
from tritonclient.utils import InferenceServerException

from gateway.api import kserve
from gateway.app import SERVICES
from gateway.auth.keys import Keys
from gateway.auth.scopes import NEEDED, OPEN, Scope
from gateway.dialects import kserve_pb2, tei_pb2, tei_pb2_grpc
from serving.errors import Unauthenticated
from siftline.cache.v1 import cache_pb2
from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2
from siftline.search.v1 import search_pb2 as pb

ALL = ("embed", "rerank", "search", "write", "admin")
CALLS: dict[str, tuple[str, Any]] = {
    "embed": ("embeds.Embed", embed_pb2.EmbedRequest(texts=["a"])),
    "rerank": ("reranks.Rerank", rerank_pb2.RerankRequest(query="a", passages=["b"])),
    "search": ("searches.Search", pb.SearchRequest(collection="c", query="a")),
    "write": ("searches.Upsert", pb.UpsertRequest(collection="c", documents=[pb.Document(id="x", text="y")])),
    "admin": ("searches.Reindex", pb.ReindexRequest(name="c")),
}


def entry(secret: str, *scopes: str, tenant: str = "", more: str = "") -> str:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return f'[[keys]]\nname = "k"\nsha256 = "{digest}"\nscopes = {list(scopes)}\ntenant = "{tenant}"\n{more}\n'


async def call(gateway: Any, what: str, secret: str | None, header: str = "authorization") -> Any:
    path, request = CALLS[what]
    stub, _, method = path.partition(".")
    value = f"Bearer {secret}" if header == "authorization" else secret
    metadata = () if secret is None else ((header, value),)
    return await getattr(getattr(gateway, stub), method)(request, metadata=metadata, timeout=20)


async def code_of(gateway: Any, what: str, secret: str | None, header: str = "authorization") -> grpc.StatusCode:
    try:
        await call(gateway, what, secret, header)
    except grpc.aio.AioRpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


@pytest.fixture
async def guarded(gateways: Any, redis_server: Any, tmp_path: Path) -> Any:
    keys = tmp_path / "keys.toml"
    keys.write_text("".join(entry(f"only-{scope}", scope) for scope in ALL) + entry("all", *ALL))
    gateway = await gateways.start(redis_server.url, keys_file=keys)
    await gateway.until_ready()
    create = pb.CreateCollectionRequest(name="c")
    await gateway.searches.CreateCollection(create, metadata=(("x-api-key", "all"),))
    return gateway


async def test_every_method_has_its_scope() -> None:
    services = (embed_pb2, rerank_pb2, cache_pb2, pb, tei_pb2)
    methods = {
        f"/{service.full_name}/{method.name}"
        for module in services
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert {method.split("/")[1] for method in methods} == set(SERVICES)
    protocol = kserve_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    methods |= {f"/{kserve.SERVICE}/{method.name}" for method in protocol.methods}
    assert methods == set(NEEDED) | {method for method in OPEN if method.startswith(f"/{kserve.SERVICE}/")}


async def test_each_scope_opens_its_methods_and_no_others(guarded: Any) -> None:
    for scope in ALL:
        for what in CALLS:
            code = await code_of(guarded, what, f"only-{scope}")
            assert code == (grpc.StatusCode.OK if scope == what else grpc.StatusCode.PERMISSION_DENIED), (scope, what)


@pytest.mark.parametrize("secret", [None, "", "wrong", "only-search2", "a" * 5000])
async def test_without_a_known_key_nothing_is_answered(guarded: Any, secret: str | None) -> None:
    for what in CALLS:
        assert await code_of(guarded, what, secret) == grpc.StatusCode.UNAUTHENTICATED
    assert await code_of(guarded, "search", "only-search", header="x-api-key") == grpc.StatusCode.OK


async def test_a_digest_is_no_key(guarded: Any) -> None:
    digest = hashlib.sha256(b"all").hexdigest()
    assert await code_of(guarded, "search", digest) == grpc.StatusCode.UNAUTHENTICATED


async def test_probes_need_no_key(guarded: Any) -> None:
    reply = await guarded.healths.Check(health_pb2.HealthCheckRequest())
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_stream_needs_a_key(guarded: Any) -> None:
    async def batches() -> Any:
        yield pb.UpsertStreamRequest(collection="c", documents=[pb.Document(id="x", text="y")])

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await guarded.searches.UpsertStream(batches(), metadata=(("x-api-key", "only-search"),))
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert (await guarded.searches.UpsertStream(batches(), metadata=(("x-api-key", "only-write"),))).upserted == 1


async def test_a_stream_of_replies_needs_a_key(guarded: Any) -> None:
    def code(secret: str) -> grpc.StatusCode:
        """By grpc's client without asyncio: that one says INTERNAL when it is refused while it still sends."""
        with grpc.insecure_channel(guarded.target) as channel:
            requests = iter([tei_pb2.EmbedRequest(inputs="one"), tei_pb2.EmbedRequest(inputs="two")])
            call = tei_pb2_grpc.EmbedStub(channel).EmbedStream(requests, metadata=(("x-api-key", secret),))
            try:
                assert len(list(call)) == 2
            except grpc.RpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    assert await asyncio.to_thread(code, "only-embed") == grpc.StatusCode.OK
    assert await asyncio.to_thread(code, "only-rerank") == grpc.StatusCode.PERMISSION_DENIED
    assert await asyncio.to_thread(code, "wrong") == grpc.StatusCode.UNAUTHENTICATED


async def test_what_a_model_is_for_needs_the_scope_for_it(guarded: Any) -> None:
    """KServe has one method for both models."""
    async with triton.InferenceServerClient(guarded.target) as client:
        text = triton.InferInput("text", [1, 1], "BYTES")
        text.set_data_from_numpy(np.array([[b"a text"]], object))
        reply = await client.infer("fake", [text], headers={"x-api-key": "only-embed"})
        assert reply.as_numpy("embeddings").shape[0] == 1
        with pytest.raises(InferenceServerException) as caught:
            await client.infer("fake", [text], headers={"x-api-key": "only-rerank"})
        assert caught.value.status() == "StatusCode.PERMISSION_DENIED"
        assert await client.is_server_live()


async def test_keys_change_without_a_restart(guarded: Any, tmp_path: Path, caplog: Any) -> None:
    keys = tmp_path / "keys.toml"
    assert await code_of(guarded, "search", "new") == grpc.StatusCode.UNAUTHENTICATED
    keys.write_text(entry("new", "search"))
    await asyncio.sleep(1.1)
    assert await code_of(guarded, "search", "new") == grpc.StatusCode.OK
    assert await code_of(guarded, "search", "all") == grpc.StatusCode.UNAUTHENTICATED
    with caplog.at_level(logging.ERROR):
        keys.write_text("[[keys]]\nname = ")
        await asyncio.sleep(1.1)
        assert await code_of(guarded, "search", "new") == grpc.StatusCode.OK
    assert "keys file is wrong" in caplog.text
    keys.unlink()
    await asyncio.sleep(1.1)
    assert await code_of(guarded, "search", "new") == grpc.StatusCode.OK
    keys.write_text(entry("new", "search", more="expires = 2020-01-01T00:00:00Z"))
    await asyncio.sleep(1.1)
    assert await code_of(guarded, "search", "new") == grpc.StatusCode.UNAUTHENTICATED


async def test_tenants_share_nothing(gateways: Any, redis_server: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(entry("one", *ALL, tenant="one") + entry("two", *ALL, tenant="two") + entry("none", *ALL))
    gateway = await gateways.start(redis_server.url, keys_file=keys)
    await gateway.until_ready()
    for secret in ("one", "two"):
        metadata = (("x-api-key", secret),)
        await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"), metadata=metadata)
        document = pb.Document(id="x", text=f"text of {secret}")
        await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=[document]), metadata=metadata)
    for secret in ("one", "two"):
        metadata = (("x-api-key", secret),)
        reply = await call(gateway, "search", secret, "x-api-key")
        assert [hit.text for hit in reply.hits] == [f"text of {secret}"]
        assert not reply.timings.embedding_cached  # the other's query was the same
        listed = await gateway.searches.ListCollections(pb.ListCollectionsRequest(), metadata=metadata)
        assert [(one.name, one.count) for one in listed.collections] == [("c", 1)]
        rebuilt = await gateway.searches.Reindex(pb.ReindexRequest(name="c"), metadata=metadata)
        assert rebuilt.documents == 1
    assert await code_of(gateway, "search", "none") == grpc.StatusCode.NOT_FOUND
    await gateway.searches.DropCollection(pb.DropCollectionRequest(name="c"), metadata=(("x-api-key", "one"),))
    assert await code_of(gateway, "search", "one") == grpc.StatusCode.NOT_FOUND
    assert await code_of(gateway, "search", "two") == grpc.StatusCode.OK


async def test_no_key_and_no_text_in_logs(guarded: Any, caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        guarded.rerank.faults.error = RuntimeError("bug")
        await call(guarded, "search", "only-search")
        await code_of(guarded, "search", "wrong-secret")
    assert "only-search" not in caplog.text
    assert "wrong-secret" not in caplog.text


def test_the_key_that_was_made_opens_what_it_was_made_for(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway.auth", "shop", "search", "write", "--tenant", "acme"]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    secret = made.stderr.rsplit(": ", 1)[1].strip()
    path = tmp_path / "keys.toml"
    path.write_text(made.stdout)
    assert secret not in made.stdout
    key = Keys(path).find(secret)
    assert (key.name, key.tenant, key.scopes) == ("shop", "acme", {Scope.SEARCH, Scope.WRITE})
    with pytest.raises(Unauthenticated):
        Keys(path).find(secret + "x")
