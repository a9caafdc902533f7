"""Request ids from end to end, logs as JSON lines with the facts of their call, and the audit log of writes."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import siftline
from gateway import metrics
from serving import logs
from serving.errors import StartupError
from siftline.embed.v1 import embed_pb2
from siftline.search.v1 import search_pb2 as pb
from tests.integration.gateway.test_gateway_keys import ALL, entry

MADE = re.compile("[0-9a-f]{32}")


async def request_id(gateway: Any, given: str | None, request: Any) -> str:
    metadata = () if given is None else ((logs.REQUEST_ID, given),)
    call = gateway.embeds.Embed(request, metadata=metadata, timeout=20)
    await call.code()
    return str(dict(await call.trailing_metadata())[logs.REQUEST_ID])


async def test_a_request_id_goes_through_to_the_service_and_comes_back(gateway: Any) -> None:
    good, wrong = embed_pb2.EmbedRequest(texts=["a"]), embed_pb2.EmbedRequest()
    assert await request_id(gateway, "order-17", good) == "order-17"
    assert gateway.embed.metadata[logs.REQUEST_ID] == "order-17"
    assert await request_id(gateway, "order-18", wrong) == "order-18"  # with an error, too
    for unfit in (None, "", "a b", "x" * 129):
        made = await request_id(gateway, unfit, embed_pb2.EmbedRequest(texts=[f"unfit {unfit}"]))
        assert MADE.fullmatch(made)
        assert gateway.embed.metadata[logs.REQUEST_ID] == made


async def test_the_client_tells_the_request_id_of_a_failure(gateway: Any) -> None:
    async with siftline.AsyncClient(gateway.target, metadata=((logs.REQUEST_ID, "order-19"),)) as client:
        with pytest.raises(siftline.SiftlineError) as caught:
            await client.search("nowhere", "a")
    assert (caught.value.code, caught.value.request_id) == (grpc.StatusCode.NOT_FOUND, "order-19")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What a process with log_format json and log_calls would write."""
    written, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.JsonLines())
    levels = root.level, logs.ANSWERED.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logs.ANSWERED.setLevel(logging.INFO)
    yield written
    root.removeHandler(handler)
    root.setLevel(levels[0])
    logs.ANSWERED.setLevel(levels[1])


async def test_lines_tell_the_call_and_the_key_and_no_text(
    gateways: Any, redis_server: Any, tmp_path: Path, lines: io.StringIO
) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(entry("secretkey", *ALL, tenant="acme").replace('"k"', '"shop"'))
    gateway = await gateways.start(redis_server.url, keys_file=keys)
    await gateway.until_ready()
    known = (("x-api-key", "secretkey"), (logs.REQUEST_ID, "order-1"))
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"), metadata=known)
    gateway.rerank.faults.error = RuntimeError("bug")
    upsert = pb.UpsertRequest(collection="c", documents=[pb.Document(id="x", text="private")])
    await gateway.searches.Upsert(upsert, metadata=known)
    found = await gateway.searches.Search(pb.SearchRequest(collection="c", query="private"), metadata=known)
    assert found.degraded
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    own = [line for line in told if line.get("request_id") == "order-1"]
    answered = [line for line in own if line["logger"] == logs.ANSWERED.name and "key" in line]
    assert [line["method"].rpartition("/")[2] for line in answered] == ["CreateCollection", "Upsert", "Search"]
    assert {(line["key"], line["tenant"], line["code"]) for line in answered} == {("shop", "acme", "OK")}
    assert any("second stage" in line["message"] for line in own)  # a warning names the call that it is about
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in told)
    assert "private" not in lines.getvalue()
    assert "secretkey" not in lines.getvalue()


async def test_writes_are_recorded_with_who_what_and_how_it_ended(
    gateways: Any, redis_server: Any, tmp_path: Path
) -> None:
    keys, file = tmp_path / "keys.toml", tmp_path / "audit" / "log"
    keys.write_text(entry("secretkey", *ALL, tenant="acme").replace('"k"', '"shop"'))
    gateway = await gateways.start(redis_server.url, keys_file=keys, audit_log=file)
    await gateway.until_ready()
    known = (("x-api-key", "secretkey"), (logs.REQUEST_ID, "order-1"))
    hostile = 'x"\n{"outcome": "OK"}'
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"), metadata=known)
    upsert = pb.UpsertRequest(collection="c", documents=[pb.Document(id=hostile, text="private")])
    await gateway.searches.Upsert(upsert, metadata=known)
    await gateway.searches.Search(pb.SearchRequest(collection="c", query="private"), metadata=known)
    file.rename(tmp_path / "rotated")
    await gateway.searches.Delete(pb.DeleteRequest(collection="c", ids=[hostile]), metadata=known)
    with pytest.raises(grpc.aio.AioRpcError):
        await gateway.searches.DropCollection(pb.DropCollectionRequest(name="gone"), metadata=known)
    written = (tmp_path / "rotated").read_text() + file.read_text()
    recorded = [json.loads(line) for line in written.splitlines()]
    assert [(line["method"], line["collection"], line["outcome"], line.get("ids")) for line in recorded] == [
        ("CreateCollection", "c", "OK", None),
        ("Upsert", "c", "OK", [hostile]),
        ("Delete", "c", "OK", [hostile]),
        ("DropCollection", "gone", "NOT_FOUND", None),
    ]
    assert {(line["key"], line["tenant"], line["request_id"]) for line in recorded} == {("shop", "acme", "order-1")}
    assert "private" not in written
    file.unlink()
    file.mkdir()
    before = metrics.AUDIT_FAILURES._value.get()
    await gateway.searches.Delete(pb.DeleteRequest(collection="c", ids=["y"]), metadata=known)
    assert metrics.AUDIT_FAILURES._value.get() == before + 1
    with pytest.raises(StartupError, match=r"^audit-log .*: Is a directory$"):
        await gateways.start(redis_server.url, audit_log=tmp_path)
