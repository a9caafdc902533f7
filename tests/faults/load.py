"""Clients that search and write without pause, and what they saw. No retries: every answer counts."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import grpc

from siftline.channel import options
from siftline.search.v1 import search_pb2 as pb
from siftline.search.v1 import search_pb2_grpc

COLLECTION = "faults"
CALL_SECONDS = 5.0
FILL_SECONDS = 60.0  # of a request with hundreds of documents
DEPTH = 8
THINK_SECONDS = 0.04
WORDS = ("river", "stone", "lamp", "carpet", "engine", "yellow", "winter", "paper", "garden", "signal", "copper")


def text_of(dice: random.Random, words: int = 10) -> str:
    return " ".join(dice.choices(WORDS, k=words))


def open_channel(address: str, authority: bytes = b"") -> grpc.aio.Channel:
    """As siftline's client makes it, but without retries and with connections of its own; in clear without `authority`,
    the PEM of whom to believe."""
    chosen = [*options(address), ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    if not authority:
        return grpc.aio.insecure_channel(address, chosen)
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authority), chosen)


class Client:
    """Of the gateway at `address`: over one connection, or with `authority` over TLS and a new one for every call,
    because certificates count while connections are made."""

    def __init__(self, address: str, authority: bytes = b"") -> None:
        self._address = address
        self._authority = authority
        self._channel = None if authority else open_channel(address)

    async def ask(self, method: str, request: Any, seconds: float) -> Any:
        if self._channel is not None:
            return await getattr(search_pb2_grpc.SearchServiceStub(self._channel), method)(request, timeout=seconds)
        async with open_channel(self._address, self._authority) as channel:
            return await getattr(search_pb2_grpc.SearchServiceStub(channel), method)(request, timeout=seconds)

    async def aclose(self) -> None:
        if self._channel is not None:
            await self._channel.close()


@dataclass
class Seen:
    """Answers by code; of the good ones, those that were degraded, by reason; the longest wait in seconds."""

    codes: Counter[str] = field(default_factory=Counter)
    degraded: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def good(self) -> int:
        return self.codes["OK"]


class Load:
    """`searchers` and `writers` at a time through one client, from entering to leaving the block.

    `documents`: so many ids are written again and again, 0: ever new ones; `longest`: texts have up to so many words,
    0 for ten each; `impatient`: every tenth search is given up before it can be answered; `think`: seconds between
    an answer and the next question.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        searchers: int = 4,
        writers: int = 2,
        documents: int = 0,
        longest: int = 0,
        impatient: bool = False,
        think: float = THINK_SECONDS,
    ) -> None:
        self._documents = documents
        self._longest = longest
        self._impatient = impatient
        self._think = think
        self._client = client
        self._name = name
        self._counts = (searchers, writers)
        self._dice = random.Random(name)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.searches, self.writes = Seen(), Seen()
        self.acknowledged: list[str] = []

    async def __aenter__(self) -> "Load":
        searchers, writers = self._counts
        self._tasks = [asyncio.create_task(self._search_on()) for _ in range(searchers)]
        self._tasks += [asyncio.create_task(self._write_on(writer)) for writer in range(writers)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)
        await self._client.aclose()

    async def fill(self, times: int) -> None:
        """Writes all `documents` of each writer so many times over, many in a request."""
        for _ in range(times):
            for writer in range(self._counts[1]):
                documents = [self._document(writer, number) for number in range(self._documents)]
                request = pb.UpsertRequest(collection=COLLECTION, documents=documents)
                await self._client.ask("Upsert", request, FILL_SECONDS)

    async def some(self, count: int = 10, seconds: float = 60.0) -> None:
        """Until there were so many more good answers of each kind."""
        searches, writes = self.searches.good + count, self.writes.good + (count if self._counts[1] else 0)
        async with asyncio.timeout(seconds):
            while self.searches.good < searches or self.writes.good < writes:
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def crowd(self, times: int) -> AsyncIterator[None]:
        """So many times the searchers, who do not think, during the block."""
        count, left = (times - 1) * self._counts[0], asyncio.Event()
        crowd = [asyncio.create_task(self._search_on(left, 0.0)) for _ in range(count)]
        try:
            yield
        finally:
            left.set()
            await asyncio.gather(*crowd)

    async def _search_on(self, left: asyncio.Event | None = None, think: float | None = None) -> None:
        think = self._think if think is None else think
        while not self._stopping and not (left and left.is_set()):
            request = pb.SearchRequest(collection=COLLECTION, query=self._text(), recall_depth=DEPTH, top_k=3)
            given_up = self._impatient and self._dice.random() < 0.1
            reply = await self._ask("Search", request, 0.002 if given_up else CALL_SECONDS, self.searches)
            for reason in reply.degraded if reply is not None else ():
                self.searches.degraded[pb.Degraded.Name(reason).removeprefix("DEGRADED_")] += 1
            await asyncio.sleep(think)

    async def _write_on(self, writer: int) -> None:
        for number in itertools.count():
            if self._stopping:
                return
            number = number % self._documents if self._documents else number
            document = self._document(writer, number)
            request = pb.UpsertRequest(collection=COLLECTION, documents=[document])
            if await self._ask("Upsert", request, CALL_SECONDS, self.writes) is not None:
                self.acknowledged.append(document.id)
            await asyncio.sleep(self._think)

    def _document(self, writer: int, number: int) -> pb.Document:
        return pb.Document(id=f"{self._name}/{writer}/{number}", text=self._text())

    def _text(self) -> str:
        return text_of(self._dice, self._dice.randint(1, self._longest) if self._longest else 10)

    async def _ask(self, method: str, request: Any, seconds: float, seen: Seen) -> Any:
        started, reply = time.monotonic(), None
        try:
            reply = await self._client.ask(method, request, seconds)
            seen.codes["OK"] += 1
        except grpc.aio.AioRpcError as error:
            seen.codes[error.code().name] += 1
        seen.slowest = max(seen.slowest, time.monotonic() - started)
        return reply


class Probe:
    """Whether the system is whole, and what it holds, as one careful client sees it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._dice = random.Random()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def create(self) -> None:
        await self._client.ask("CreateCollection", pb.CreateCollectionRequest(name=COLLECTION), 30)
        documents = [pb.Document(id=f"seed/{n}", text=text_of(self._dice)) for n in range(50)]
        await self._client.ask("Upsert", pb.UpsertRequest(collection=COLLECTION, documents=documents), 30)

    async def until_whole(self, since: float, settled: float, seconds: float = 90.0) -> float:
        """Seconds from `since` to the first of rounds that go well for `settled` seconds: a blow may be felt late. In
        a round that goes well a search has both stages and a write is acknowledged."""
        first: float | None = None
        async with asyncio.timeout(seconds):
            while first is None or time.monotonic() - first < settled:
                started = time.monotonic()
                went_well = await self._is_whole()
                first = (first or started) if went_well else None
                await asyncio.sleep(0.05)
        return first - since

    async def lost(self, ids: list[str]) -> int:
        """How many of the documents are not there."""
        missing = 0
        for at in range(0, len(ids), 1000):
            part = ids[at : at + 1000]
            reply = await self._client.ask("Get", pb.GetRequest(collection=COLLECTION, ids=part), 30)
            missing += len(part) - len(reply.documents)
        return missing

    async def _is_whole(self) -> bool:
        query = text_of(self._dice)
        document = pb.Document(id="probe", text=query)
        try:
            await self._client.ask("Upsert", pb.UpsertRequest(collection=COLLECTION, documents=[document]), 2)
            request = pb.SearchRequest(collection=COLLECTION, query=f"{query} again", recall_depth=DEPTH)
            return not (await self._client.ask("Search", request, 2)).degraded
        except grpc.aio.AioRpcError:
            return False
