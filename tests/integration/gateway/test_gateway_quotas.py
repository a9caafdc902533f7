"""Quotas of keys: shared by gateways, charged for what was computed, and kept alone when Redis is gone."""

import asyncio
import json
import logging
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway import metrics
from gateway.quota.limits import Limits
from gateway.quota.redis_buckets import RedisBuckets
from siftline.embed.v1 import embed_pb2
from siftline.search.v1 import search_pb2 as pb
from tests.integration.gateway.test_gateway_keys import ALL, call, entry
from tests.running.waiting import until


def keys_file(folder: Path, **quotas: str) -> Path:
    """A key for each name, with these lines in its entry."""
    file = folder / "keys.toml"
    entries = (entry(name, *ALL, more=more).replace('"k"', f'"{name}"') for name, more in quotas.items())
    file.write_text("".join(entries))
    return file


async def refusal(gateway: Any, secret: str, request: Any, method: str = "embeds.Embed") -> float | None:
    """Seconds after which to come back, None when the call was answered."""
    stub, _, name = method.partition(".")
    answering = getattr(getattr(gateway, stub), name)(request, metadata=(("x-api-key", secret),), timeout=20)
    if await answering.code() == grpc.StatusCode.OK:
        return None
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answering
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in rpc_status.from_call(caught.value).details:
        detail.Unpack(info)
        detail.Unpack(retry)
    assert info.reason == "QUOTA_EXCEEDED"
    return float(retry.retry_delay.ToNanoseconds() / 1e9)


async def test_the_script_does_as_the_buckets_of_one_process(redis_server: Any) -> None:
    buckets, limits = RedisBuckets(redis_server.url, 5.0), Limits(requests_per_second=0.01, tokens_per_minute=60)
    assert await buckets.take("k", limits.charges(30)) is None
    refused = await buckets.take("k", limits.charges(1))
    assert refused is not None
    assert refused.kind == "requests"
    assert 90 < refused.wait <= 100
    tokens = Limits(tokens_per_minute=60)
    refused = await buckets.take("k", tokens.charges(40))
    assert refused is not None
    assert (refused.kind, refused.wait > 5) == ("tokens", True)
    await buckets.correct("k", tokens.tokens(-30))
    assert await buckets.take("k", tokens.charges(1000)) is None  # more than it ever holds, and it was full
    refused = await buckets.take("k", tokens.charges(0))
    assert refused is not None
    assert 900 < refused.wait <= 940
    with redis_server.client as client:
        lives = [client.pttl(key) for key in client.scan_iter("siftline:quota:*")]
        assert min(lives) > 0  # nothing stays for ever
    await buckets.aclose()


async def test_two_gateways_share_a_quota(gateways: Any, redis_server: Any, tmp_path: Path) -> None:
    keys = keys_file(tmp_path, few="requests_per_second = 0.05", free="")
    both = [await gateways.start(redis_server.url, keys_file=keys) for _ in range(2)]
    request = embed_pb2.EmbedRequest(texts=["a"])
    assert await refusal(both[0], "few", request) is None
    for gateway in both:
        wait = await refusal(gateway, "few", request)
        assert wait is not None
        assert 10 < wait <= 20
        assert await refusal(gateway, "free", request) is None
    answered = await asyncio.gather(*(refusal(both[n % 2], "free", request) for n in range(50)))
    assert answered == [None] * 50


async def test_tokens_are_charged_as_computed(gateways: Any, redis_server: Any, tmp_path: Path) -> None:
    """Each text has 90 tokens, and 44 by its bytes."""
    gateway = await gateways.start(redis_server.url, keys_file=keys_file(tmp_path, some="tokens_per_minute = 136"))
    await gateway.until_ready()
    one, other = (embed_pb2.EmbedRequest(texts=[" ".join([word] * 88)]) for word in "ab")
    assert one.ByteSize() // 4 == 44
    for request in (one, one, other):  # the second comes from the cache, and is given back
        assert await refusal(gateway, "some", request) is None
        await until(lambda: not gateway.app._quota._corrections)  # they come afterwards: nobody waits for them
    wait = await refusal(gateway, "some", embed_pb2.EmbedRequest(texts=["a"]))
    assert wait is not None  # 44 more than there were are owed
    assert 10 < wait < 21


async def test_a_stream_is_slowed_down_and_not_refused(gateways: Any, redis_server: Any, tmp_path: Path) -> None:
    gateway = await gateways.start(redis_server.url, keys_file=keys_file(tmp_path, slow="requests_per_second = 2"))
    await gateway.until_ready()
    known = (("x-api-key", "slow"),)
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"), metadata=known)

    async def batches() -> Any:
        for number in range(4):
            yield pb.UpsertStreamRequest(collection="c", documents=[pb.Document(id=f"d{number}", text="t")])

    before = metrics.QUOTA_REFUSED.labels("requests")._value.get()
    assert (await gateway.searches.UpsertStream(batches(), metadata=known, timeout=20)).upserted == 4
    assert metrics.QUOTA_REFUSED.labels("requests")._value.get() > before


async def test_without_redis_each_gateway_counts_for_itself(gateways: Any, own_redis: Any, tmp_path: Path) -> None:
    keys = keys_file(tmp_path, few="requests_per_second = 0.05")
    gateway = await gateways.start(own_redis.url, keys_file=keys)
    request = embed_pb2.EmbedRequest(texts=["a"])
    assert await refusal(gateway, "few", request) is None
    own_redis.kill()
    before = metrics.QUOTA_ALONE._value.get()
    assert await refusal(gateway, "few", request) is None
    wait = await refusal(gateway, "few", request)
    assert wait is not None
    assert 10 < wait <= 20
    assert metrics.QUOTA_ALONE._value.get() >= before + 2
    own_redis.start()
    with own_redis.client as client:
        client.flushall()
    await until(lambda: answered(gateway, request))  # once it is asked again, whose bucket is full


async def answered(gateway: Any, request: embed_pb2.EmbedRequest) -> bool:
    return await refusal(gateway, "few", request) is None


async def test_http_callers_have_the_same_quota(gateways: Any, redis_server: Any, tmp_path: Path) -> None:
    keys = keys_file(tmp_path, few="requests_per_second = 0.05")
    gateway = await gateways.start(redis_server.url, keys_file=keys, http="127.0.0.1:0")
    await gateway.until_ready()
    assert await refusal(gateway, "few", embed_pb2.EmbedRequest(texts=["a"])) is None

    def ask() -> None:
        body = json.dumps({"model": "fake", "input": "a"}).encode()
        headers = {"authorization": "Bearer few", "content-type": "application/json"}
        url = f"http://127.0.0.1:{gateway.app.http_port}/v1/embeddings"
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10)

    with pytest.raises(urllib.error.HTTPError) as caught:
        await asyncio.to_thread(ask)
    assert caught.value.code == 429
    assert 10 < int(caught.value.headers["retry-after"]) <= 20
    caught.value.close()


async def test_no_key_and_no_text_in_the_logs_of_a_run(
    gateways: Any, own_redis: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of searches, writes and refusals, of parts that fail, at the most talkative level."""
    keys = keys_file(tmp_path, secretkey="requests_per_second = 1000")
    gateway = await gateways.start(own_redis.url, keys_file=keys)
    await gateway.until_ready()
    known = (("x-api-key", "secretkey"),)
    texts = {word: f"confidential{word}" for word in ("query", "text", "title", "tag", "filter", "wrongkey")}
    document = pb.Document(id="x", text=texts["text"], title=texts["title"])
    document.metadata.update({"kind": texts["tag"]})
    search = pb.SearchRequest(collection="c", query=texts["query"])
    with caplog.at_level(logging.DEBUG):
        fields = [pb.Field(name="kind", type=pb.FIELD_TYPE_TAG)]
        await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c", fields=fields), metadata=known)
        upsert = pb.UpsertRequest(collection="c", documents=[document])
        await gateway.searches.Upsert(upsert, metadata=known)
        await gateway.searches.Search(search, metadata=known)
        gateway.rerank.faults.error = gateway.embed.faults.error = RuntimeError("bug")
        await gateway.searches.Search(search, metadata=known)
        for request in (
            pb.SearchRequest(collection="c", query="a", filter=f'{texts["filter"]} = "{texts["filter"]}"'),
            pb.SearchRequest(collection=texts["filter"], query=texts["query"]),
        ):
            with pytest.raises(grpc.aio.AioRpcError):
                await gateway.searches.Search(request, metadata=known)
        with pytest.raises(grpc.aio.AioRpcError):
            await call(gateway, "search", texts["wrongkey"])
        own_redis.kill()
        with pytest.raises(grpc.aio.AioRpcError):
            await gateway.searches.Search(search, metadata=known)
    assert caplog.text
    assert "confidential" not in caplog.text
    assert "secretkey" not in caplog.text
