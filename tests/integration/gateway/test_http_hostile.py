"""What clients do to an HTTP server that is not nice, and what they are told when there is too much to do."""

import asyncio
import json
import re

import pytest

from gateway.http.connection import Connection
from gateway.http.metrics import HTTP_REQUESTS
from serving.errors import DeadlineExceeded, Overloaded, Unavailable
from tests.integration.gateway.conftest import Gateway, Gateways
from tests.integration.gateway.test_http_own import ask
from tests.running.redis_server import RedisServer
from tests.running.waiting import until

HEAD = "POST /embed HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
BODY = json.dumps({"inputs": "a text"})
WHOLE = f"{HEAD}content-length: {len(BODY)}\r\n\r\n{BODY}".encode()


def left() -> float:
    """Requests whose client was gone before its answer."""
    samples = (sample for family in HTTP_REQUESTS.collect() for sample in family.samples)
    return sum(s.value for s in samples if s.name.endswith("_total") and s.labels["status"] == "499")


async def sent(gateway: Gateway, *parts: bytes, close: bool = False, seconds: float = 20.0) -> bytes:
    """What comes back until the server closes or has answered; `close` closes our side after the last part."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.app.http_port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if close:
            writer.write_eof()
        async with asyncio.timeout(seconds):
            return await reader.read()
    finally:
        writer.close()


async def test_a_client_that_closes_its_side_gets_its_answer(gateway: Gateway) -> None:
    reply = await sent(gateway, WHOLE, close=True)
    assert reply.startswith(b"HTTP/1.1 200")
    assert b"[[" in reply


async def test_a_client_that_closes_its_side_gets_an_answer_that_takes_long(gateway: Gateway) -> None:
    gateway.embed.faults.delay = 1.3
    reply = await sent(gateway, WHOLE, close=True)
    told = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert reply.startswith(told)
    assert reply.replace(told, b"").startswith(b"HTTP/1.1 200")


async def test_work_ends_for_a_client_that_has_left(gateway: Gateway) -> None:
    gateway.embed.faults.delay = 60
    before = left()
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.app.http_port)
    writer.write(WHOLE)
    await until(lambda: gateway.embed.calls)
    writer.close()
    await until(lambda: left() > before)


async def test_a_client_that_closes_in_the_middle_is_let_go(gateway: Gateway) -> None:
    assert await sent(gateway, WHOLE[:-3], close=True) == b""
    assert await sent(gateway, HEAD.encode(), close=True) == b""


async def test_pipelined_requests_are_answered_in_order(gateway: Gateway) -> None:
    other = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    last = WHOLE.replace(b"host: x", b"host: x\r\nconnection: close")
    reply = await sent(gateway, WHOLE + other + WHOLE + last)
    assert [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", reply)] == [200] * 4
    lengths = [int(length) for length in re.findall(rb"content-length: (\d+)", reply)]
    assert [bool(length) for length in lengths] == [True, False, True, True]


async def test_slow_bodies_end_at_the_deadline(gateway: Gateway) -> None:
    head = HEAD.replace("host: x", "host: x\r\nx-request-timeout-ms: 200")
    reply = await sent(gateway, f"{head}content-length: 1000\r\n\r\n{{".encode())
    assert reply.startswith(b"HTTP/1.1 408")
    assert b'"error_type"' in reply
    assert b"connection: close" in reply


async def test_slow_heads_end(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.http.connection._HEAD_S", 0.2)
    assert await sent(gateway, b"POST /embed HT") == b""
    assert Connection._head is None


async def test_bodies_without_a_length_are_measured(gateways: Gateways, redis_server: RedisServer) -> None:
    gateway = await gateways.start(redis_server.url, http_max_body_bytes=1000)
    await gateway.until_ready()
    chunk = b"400\r\n" + b"a" * 1024 + b"\r\n"
    reply = await sent(gateway, f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode(), chunk, chunk, b"0\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 413")
    assert b'"Validation"' in reply


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff\xfe\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /embed HTTP/1.1\r\ncontent-length: x\r\n\r\n"],
)
async def test_garbage_is_refused_and_others_are_served(gateway: Gateway, garbage: bytes) -> None:
    assert (await sent(gateway, garbage))[:12] in (b"HTTP/1.1 400", b"")
    assert (await ask(gateway, "POST", "/embed", {"inputs": "a"}))[0] == 200


async def test_overload_says_when_to_come_back_in_every_dialect(gateway: Gateway) -> None:
    gateway.embed.faults.error = Overloaded("full", retry_after=1.2)
    for path, body in (
        ("/v1/embeddings", {"input": "x1", "model": ""}),
        ("/embed", {"inputs": "x2"}),
        ("/v2/embed", {"texts": ["x3"], "model": ""}),
    ):
        status, reply, headers = await ask(gateway, "POST", path, body)
        assert (status, headers["retry-after"], headers["retry-after-ms"]) == (429, "2", "1200")
        if path == "/embed":
            assert reply == {"error": "Model is overloaded", "error_type": "Overloaded"}
        if path == "/v1/embeddings":
            assert reply["error"]["type"] == "rate_limit_error"


async def test_a_line_break_in_a_path_is_answered_in_the_dialect(gateway: Gateway) -> None:
    status, reply, _ = await ask(gateway, "GET", "/v1/models/no%0Asuch")
    assert (status, reply["error"]["type"]) == (404, "invalid_request_error")


async def test_down_is_503_and_late_is_504(gateway: Gateway) -> None:
    gateway.embed.faults.error = Unavailable("down")
    status, reply, _ = await ask(gateway, "POST", "/embed", {"inputs": "y1"})
    assert (status, reply["error_type"]) == (503, "Unhealthy")
    gateway.embed.faults.error = DeadlineExceeded("late")
    assert (await ask(gateway, "POST", "/v1/embeddings", {"input": "y2", "model": ""}))[0] == 504
    gateway.embed.faults.error, gateway.embed.faults.delay = None, 5.0
    assert (await ask(gateway, "POST", "/embed", {"inputs": "y3"}, x_request_timeout_ms="100"))[0] == 504
    assert (await ask(gateway, "POST", "/embed", {"inputs": "y4"}, x_request_timeout_ms="soon"))[0] == 422
    assert (await ask(gateway, "POST", "/embed", {"inputs": "y5"}, x_priority="urgent"))[0] == 422


async def test_documented_tei_is_a_switch(gateways: Gateways, redis_server: RedisServer) -> None:
    gateway = await gateways.start(redis_server.url, tei_documented=True)
    await gateway.until_ready()
    status, reply, _ = await ask(gateway, "POST", "/embed", {"inputs": ["a"] * 257})
    assert (status, reply["error_type"]) == (413, "validation")
