"""Texts to vectors: cache first, then single flight, then the embed service."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from gateway import metrics
from gateway.caller import CALLER
from gateway.clients import NOT_HERE, EmbedClient
from gateway.deadline import Deadline
from gateway.embedding_cache import EmbeddingCache
from gateway.embedding_key import keys_of
from gateway.embedding_value import Row
from gateway.flights import Flights
from gateway.shared_flights import SharedFlights
from serving.errors import DeadlineExceeded, InvalidArgument, Unavailable
from siftline.embed.v1 import embed_pb2
from siftline.embed.v1.embed_pb2 import EmbedRequest, EmbedResponse, GetModelResponse


@dataclass(slots=True)
class Embedded:
    """Rows in the order of the texts, all of one model; how many the cache had; timings of the slowest call.

    `shared`: how many came into the cache from other gateways meanwhile.
    """

    rows: list[Row]
    fingerprint: str
    dimensions: int
    cached: int = 0
    timings: embed_pb2.Timings = field(default_factory=embed_pb2.Timings)
    shared: int = 0


class ModelChanged(Exception):
    """The service answered with another model than the one that the keys were made for."""


class Embedder:
    """`cache` may be None: then every text goes to the service."""

    def __init__(self, client: EmbedClient, cache: EmbeddingCache | None, salt: str = "") -> None:
        self._client = client
        self._cache = cache
        self._shared = SharedFlights(cache) if cache is not None and cache.claim_s else None
        self._salt = salt.encode() + b"\0"
        # a query must not wait in the bulk lane because a document happens to have the same text
        self._flights: dict[int, Flights[Row]] = {priority: Flights() for priority in embed_pb2.Priority.values()}

    async def model(self, deadline: Deadline) -> GetModelResponse:
        return await self._client.model(deadline)

    async def embed(self, request: EmbedRequest, deadline: Deadline, *, cached: bool = True) -> Embedded:
        """Vectors of `request.texts`, which the caller has validated. Never of two models in one reply."""
        if request.fingerprint and await self._client.of(request.fingerprint, deadline) is None:
            raise Unavailable(f"fingerprint: no model {request.fingerprint!r:.40} is in service", reason=NOT_HERE)
        if self._cache is None or not cached:
            return _unpack(await self._client.embed(request, deadline))
        try:
            async with asyncio.timeout(deadline.require()):  # what another request computes has that one's deadline
                return await self._of_one_model(self._cache, request, deadline)
        except TimeoutError as error:
            raise DeadlineExceeded("embed: the deadline passed before the vectors were there") from error

    async def _of_one_model(self, cache: EmbeddingCache, request: EmbedRequest, deadline: Deadline) -> Embedded:
        named = await self._client.of(request.fingerprint, deadline) if request.fingerprint else None
        try:
            return await self._through_cache(cache, request, named or await self._client.model(deadline), deadline)
        except ModelChanged:
            model = await self._client.refresh(deadline)
        try:
            return await self._through_cache(cache, request, model, deadline)
        except ModelChanged as error:  # replicas disagree: a roll-out is going on
            raise Unavailable("embed service: the model is being changed, try again") from error

    async def embed_with(
        self, fingerprint: str, request: EmbedRequest, deadline: Deadline, *, cached: bool = True
    ) -> Embedded:
        """As `embed`, by the model with this fingerprint where the service has it; else by the one in service."""
        if await self._client.of(fingerprint, deadline) is not None:
            request.fingerprint = fingerprint
        return await self.embed(request, deadline, cached=cached)

    async def _through_cache(
        self, cache: EmbeddingCache, request: EmbedRequest, model: GetModelResponse, deadline: Deadline
    ) -> Embedded:
        keys = keys_of(request, model, self._salt + CALLER.get().tenant.encode())
        places = {key: place for place, key in reversed(list(enumerate(keys)))}  # the first of each key
        result = Embedded([], model.fingerprint, request.dimensions or model.dimensions)
        size = row_bytes(request.dtype, result.dimensions)
        # a load of documents is late by design: no query is to wait for it
        shared = self._shared if request.priority != embed_pb2.PRIORITY_BULK else None

        async def compute(absent: list[bytes]) -> Mapping[bytes, Row]:
            fresh = await self._compute(request, [places[key] for key in absent], model.fingerprint, deadline)
            result.timings = fresh.timings
            computed = dict(zip(absent, fresh.rows, strict=True))
            cache.put(computed)
            return computed

        async def look_up(missing: list[bytes]) -> Mapping[bytes, Row]:
            started = perf_counter()
            rows = await cache.get(missing, size)
            cache_us = int((perf_counter() - started) * 1e6)
            result.cached += len(rows)
            absent = [key for key in missing if key not in rows]
            if absent and shared is not None:
                fetched, others = await shared.fetch(absent, size, compute, deadline.left / 2)
                rows.update(fetched)
                result.shared += others
            elif absent:
                rows.update(await compute(absent))
            result.timings.cache_us = cache_us
            return rows

        rows, coalesced = await self._flights[request.priority].fetch(keys, look_up)
        _count(len(keys), len(places), result.cached, coalesced + result.shared)
        result.rows = [rows[key] for key in keys]
        return result

    async def _compute(
        self, request: EmbedRequest, places: Sequence[int], fingerprint: str, deadline: Deadline
    ) -> Embedded:
        """Rows of the texts at these places of the request, from the service."""
        try:
            fresh = _unpack(await self._client.embed(_only(request, places), deadline))
        except InvalidArgument as error:
            raise _as_sent(error, places) from error
        if fresh.fingerprint != fingerprint:
            raise ModelChanged
        return fresh


def row_bytes(dtype: int, dimensions: int) -> int:
    """Bytes of one vector on the wire."""
    if dtype == embed_pb2.DTYPE_BINARY:
        return (dimensions + 7) // 8
    return dimensions * _ITEM_BYTES.get(dtype, 4)


_ITEM_BYTES: dict[int, int] = {embed_pb2.DTYPE_FLOAT16: 2, embed_pb2.DTYPE_INT8: 1}


def _unpack(response: EmbedResponse) -> Embedded:
    size, vectors = row_bytes(response.dtype, response.dimensions), response.vectors
    if len(vectors) != size * response.count:
        raise Unavailable("embed service: reply of the wrong size")
    windows = response.windows or [0] * response.count  # a service of an earlier version does not say
    facts = zip(range(0, len(vectors), size), response.token_counts, response.truncated, windows, strict=True)
    rows = [Row(vectors[at : at + size], tokens, truncated, read) for at, tokens, truncated, read in facts]
    return Embedded(rows, response.fingerprint, response.dimensions, 0, response.timings)


def _only(request: EmbedRequest, places: Sequence[int]) -> EmbedRequest:
    """The request with the texts, and their own prompts if they have them, at these places only."""
    call = EmbedRequest()
    call.CopyFrom(request)
    for field_name in ("texts", "prompt_texts"):
        values = getattr(request, field_name)
        call.ClearField(field_name)
        getattr(call, field_name).extend(values[place] for place in places if values)
    return call


def _as_sent(error: InvalidArgument, places: Sequence[int]) -> InvalidArgument:
    """The error with the place in the caller's list instead of that among the texts that the cache lacked."""
    match = re.fullmatch(r"(texts|prompt_texts)\[(\d+)\]", error.field)
    if match is None or int(match[2]) >= len(places):
        return error
    message = str(error).removeprefix(f"{error.field}: ")
    return InvalidArgument(f"{match[1]}[{places[int(match[2])]}]", message, reason=error.reason)


def _count(texts: int, distinct: int, hits: int, coalesced: int) -> None:
    metrics.CACHE_TEXTS.labels("hit").inc(hits)
    metrics.CACHE_TEXTS.labels("coalesced").inc(coalesced)
    metrics.CACHE_TEXTS.labels("duplicate").inc(texts - distinct)
    metrics.CACHE_TEXTS.labels("miss").inc(distinct - hits - coalesced)
