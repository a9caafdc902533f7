"""Client and AsyncClient over a real gRPC connection, against a server that answers as it is told to."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import numpy as np
import pytest

import siftline
from serving.errors import AlreadyExists, NotFound, Overloaded, SiftlineError, Unavailable
from serving.server import ErrorTranslation
from serving.server import _options as server_options
from serving.settings import ServerSettings
from siftline import channel
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc
from siftline.search.v1 import search_pb2, search_pb2_grpc
from tests.running.proxy import Proxy
from tests.running.waiting import until

Ask = Callable[..., Awaitable[Any]]


class Server(
    embed_pb2_grpc.EmbedServiceServicer, rerank_pb2_grpc.RerankServiceServicer, search_pb2_grpc.SearchServiceServicer
):
    """Raises `errors` one after the other, then answers; remembers what it was asked."""

    def __init__(self) -> None:
        self.errors: list[SiftlineError] = []
        self.asked: list[Any] = []
        self.deadlines: list[float] = []
        self.keys: list[str] = []
        self.delay = 0.0

    async def _hear(self, request: Any, context: grpc.aio.ServicerContext) -> None:
        self.asked.append(request)
        self.deadlines.append(context.time_remaining())
        self.keys.append(dict(context.invocation_metadata()).get("authorization", ""))
        if self.errors:
            raise self.errors.pop(0)
        await asyncio.sleep(self.delay)

    async def Embed(
        self, request: embed_pb2.EmbedRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.EmbedResponse:
        await self._hear(request, context)
        bytes_per_row = {embed_pb2.DTYPE_FLOAT16: 8, embed_pb2.DTYPE_INT8: 4, embed_pb2.DTYPE_BINARY: 1}
        count = len(request.texts)
        vectors = bytes(bytes_per_row.get(request.dtype, 16) * count)
        return embed_pb2.EmbedResponse(vectors=vectors, count=count, dimensions=4, token_counts=[3] * count)

    async def Rerank(
        self, request: rerank_pb2.RerankRequest, context: grpc.aio.ServicerContext
    ) -> rerank_pb2.RerankResponse:
        await self._hear(request, context)
        results = [rerank_pb2.RerankResult(index=1, logit=2.0, score=0.88, windows=3)]
        return rerank_pb2.RerankResponse(results=results)

    async def Search(
        self, request: search_pb2.SearchRequest, context: grpc.aio.ServicerContext
    ) -> search_pb2.SearchResponse:
        await self._hear(request, context)
        hit = search_pb2.Hit(id="a", recall_rank=2, recall_score=0.5)
        hit.metadata.update({"year": 2020})
        return search_pb2.SearchResponse(hits=[hit], degraded=[search_pb2.DEGRADED_RERANK_TIMEOUT])

    async def CreateCollection(
        self, request: search_pb2.CreateCollectionRequest, context: grpc.aio.ServicerContext
    ) -> search_pb2.CreateCollectionResponse:
        await self._hear(request, context)
        return search_pb2.CreateCollectionResponse(collection=search_pb2.Collection(name=request.name))

    async def Upsert(
        self, request: search_pb2.UpsertRequest, context: grpc.aio.ServicerContext
    ) -> search_pb2.UpsertResponse:
        await self._hear(request, context)
        return search_pb2.UpsertResponse(upserted=len(request.documents))


@pytest.fixture(name="server")
def _server() -> Server:
    return Server()


@pytest.fixture(name="address")
async def _address(server: Server) -> AsyncIterator[str]:
    running = grpc.aio.server(interceptors=(ErrorTranslation(),), options=[("grpc.max_receive_message_length", -1)])
    embed_pb2_grpc.add_EmbedServiceServicer_to_server(server, running)
    rerank_pb2_grpc.add_RerankServiceServicer_to_server(server, running)
    search_pb2_grpc.add_SearchServiceServicer_to_server(server, running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    yield f"127.0.0.1:{port}"
    await running.stop(None)


@pytest.fixture(name="ask", params=["Client", "AsyncClient"])
async def _ask(request: pytest.FixtureRequest, address: str) -> AsyncIterator[Ask]:
    """ask("embed", [...], seconds=3): the same question through either client."""
    if request.param == "AsyncClient":
        async with siftline.AsyncClient(address) as client:
            yield lambda name, *args, seconds=30.0, **kwargs: getattr(client.with_timeout(seconds), name)(
                *args, **kwargs
            )
    else:
        with siftline.Client(address) as blocking:
            yield lambda name, *args, seconds=30.0, **kwargs: asyncio.to_thread(
                getattr(blocking.with_timeout(seconds), name), *args, **kwargs
            )


@pytest.mark.parametrize(
    ("dtype", "shape", "numpy_dtype"),
    [
        ("float32", (2, 4), np.float32),
        ("float16", (2, 4), np.float16),
        ("int8", (2, 4), np.int8),
        ("binary", (2, 1), np.uint8),
    ],
)
async def test_vectors_come_as_numpy(ask: Ask, dtype: str, shape: tuple[int, int], numpy_dtype: type) -> None:
    vectors = await ask("embed", ["a", "b"], dtype=dtype)
    assert (vectors.shape, vectors.dtype) == (shape, numpy_dtype)


async def test_options_arrive(ask: Ask, server: Server) -> None:
    options = {"side": "query", "prompt_text": "p: ", "truncation": "error", "priority": "bulk"}
    await ask("embed_with_details", ["a"], outputs=["sparse", "multi_vector"], **options)
    request = server.asked[0]
    assert list(request.outputs) == [embed_pb2.OUTPUT_SPARSE, embed_pb2.OUTPUT_MULTI_VECTOR]
    assert (request.side, request.prompt_text) == (embed_pb2.SIDE_QUERY, "p: ")
    assert (request.truncation, request.priority) == (embed_pb2.TRUNCATION_ERROR, embed_pb2.PRIORITY_BULK)
    await ask("search", "c", "q", top_k=3, recall="hybrid", rerank=False, min_score=0.0, filter="x = 1")
    request = server.asked[1]
    assert (request.top_k, request.recall, request.rerank) == (
        3,
        search_pb2.RECALL_MODE_HYBRID,
        search_pb2.RERANK_MODE_OFF,
    )
    assert request.HasField("min_score")
    assert not request.HasField("recall_weight")


async def test_answers_are_plain_values(ask: Ask) -> None:
    found = await ask("search", "c", "q")
    assert found.degraded == ("RERANK_TIMEOUT",)
    assert (found.hits[0].metadata, found.hits[0].rerank_score) == ({"year": 2020}, None)
    assert await ask("rerank", "q", ["x", "y"]) == [siftline.Reranked(1, 2.0, 0.88, 3, False)]


async def test_overload_is_waited_out_as_long_as_the_server_says(ask: Ask, server: Server) -> None:
    server.errors = [Overloaded("full", retry_after=0.5), Overloaded("full", retry_after=0.5)]
    started = time.monotonic()
    assert (await ask("embed", ["a"])).shape == (1, 4)
    assert len(server.asked) == 3
    assert time.monotonic() - started > 0.8


async def test_lasting_overload_is_told_with_its_retry_delay(ask: Ask, server: Server) -> None:
    server.errors = [Overloaded("full", retry_after=0.05)] * 20
    with pytest.raises(siftline.SiftlineError, match="full") as caught:
        await ask("embed", ["a"])
    error = caught.value
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert error.retry_after == pytest.approx(0.05)
    assert len(server.asked) == 5


async def test_retries_have_a_budget(ask: Ask, server: Server) -> None:
    """A server that is down gets little more than the calls themselves, not five times as many."""
    server.errors = [Unavailable("down") for _ in range(1000)]
    failed = await asyncio.gather(*(ask("embed", ["a"]) for _ in range(100)), return_exceptions=True)
    assert {error.code for error in failed if isinstance(error, siftline.SiftlineError)} == {
        grpc.StatusCode.UNAVAILABLE
    }
    assert len(failed) == 100 <= len(server.asked) <= 150


async def test_a_server_that_went_silent_is_left_for_a_new_connection(
    address: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network swallows what the server sends; without keepalive the call would wait for its deadline."""
    monkeypatch.setattr(channel, "KEEPALIVE_MS", 500)
    monkeypatch.setattr(channel, "KEEPALIVE_TIMEOUT_MS", 1500)
    proxy = Proxy(int(address.rpartition(":")[2]))
    await proxy.start()
    async with siftline.AsyncClient(proxy.address) as client:
        assert (await client.embed(["a"])).shape == (1, 4)
        proxy.stall()
        late = asyncio.create_task(client.embed(["b"]))
        await until(lambda: proxy.accepted >= 2)
        proxy.mend()
        assert (await late).shape == (1, 4)
        assert [list(request.texts) for request in server.asked] == [["a"], ["b"], ["b"]]
    await proxy.stop()


def test_servers_bear_the_pings_of_clients() -> None:
    borne = dict(server_options(ServerSettings(listen="")))["grpc.http2.min_recv_ping_interval_without_data_ms"]
    assert borne <= channel.KEEPALIVE_MS / 2


async def test_large_upsert_is_retried_too(ask: Ask, server: Server) -> None:
    server.errors = [Unavailable("starting")]
    documents = [siftline.Document(str(number), "x" * 100_000) for number in range(20)]
    assert (await ask("upsert", "c", documents)).upserted == 20
    assert len(server.asked) == 2


async def test_what_may_not_be_done_twice_is_not(ask: Ask, server: Server) -> None:
    server.errors = [Unavailable("starting")]
    with pytest.raises(siftline.SiftlineError, match="starting"):
        await ask("create_collection", "c")
    assert len(server.asked) == 1


@pytest.mark.parametrize("error", [NotFound("no such collection", reason="COLLECTION"), AlreadyExists("there")])
async def test_refusals_are_told_once_with_their_reason(ask: Ask, server: Server, error: SiftlineError) -> None:
    server.errors = [error]
    with pytest.raises(siftline.SiftlineError, match=str(error)) as caught:
        await ask("search", "c", "q")
    assert (caught.value.code.value[0], caught.value.reason) == (error.code, error.reason)
    assert len(server.asked) == 1


async def test_every_call_has_a_deadline(ask: Ask, server: Server) -> None:
    await ask("embed", ["a"])
    assert 25 < server.deadlines[0] < 31
    server.delay = 5.0
    with pytest.raises(siftline.SiftlineError) as caught:
        await ask("embed", ["a"], seconds=0.3)
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("texts", ["one string", ["lone \ud800 surrogate"], ["a", None], ["a", 5]])
async def test_what_cannot_be_sent_is_an_invalid_argument(ask: Ask, server: Server, texts: Any) -> None:
    with pytest.raises(siftline.SiftlineError) as caught:
        await ask("embed", texts)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert not server.asked


@pytest.mark.parametrize(("call", "arguments"), [("embed", [["one"]]), ("search", ["notes", "query"])])
async def test_misspelt_option_is_named_and_nothing_is_sent(
    ask: Ask, server: Server, call: str, arguments: list[Any]
) -> None:
    with pytest.raises(TypeError, match="'promt'"):
        await ask(call, *arguments, promt="x")
    assert not server.asked


async def test_key_is_sent_that_is_given_or_else_that_of_the_environment(
    address: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in (None, "given"):
        async with siftline.AsyncClient(address, api_key=key) as client:
            await client.embed(["a"])
    monkeypatch.setenv("SIFTLINE_API_KEY", "inherited")
    async with siftline.AsyncClient(address) as client:
        await client.embed(["a"])
    assert server.keys == ["", "Bearer given", "Bearer inherited"]


def test_both_clients_have_the_same_calls() -> None:
    def calls(client: type) -> set[str]:
        return {
            name for name, member in vars(client).items() if not name.startswith("_") and inspect.isfunction(member)
        }

    assert calls(siftline.Client) == calls(siftline.AsyncClient)
