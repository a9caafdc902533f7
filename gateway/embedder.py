"""Texts to vectors: cache first, then single flight, then the embed service."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from gateway import metrics
from gateway.clients import EmbedClient
from gateway.deadline import Deadline
from gateway.embedding_cache import EmbeddingCache, Row, key_of
from gateway.flights import Flights
from serving.errors import DeadlineExceeded, InvalidArgument, Unavailable
from siftline.embed.v1 import embed_pb2
from siftline.embed.v1.embed_pb2 import EmbedRequest, EmbedResponse, GetModelResponse


@dataclass(slots=True)
class Embedded:
    """Rows in the order of the texts, all of one model; how many the cache had; timings of the slowest call."""

    rows: list[Row]
    fingerprint: str
    dimensions: int
    cached: int = 0
    timings: embed_pb2.Timings = field(default_factory=embed_pb2.Timings)


class ModelChanged(Exception):
    """The service answered with another model than the one that the keys were made for."""


class Embedder:
    """`cache` may be None: then every text goes to the service."""

    def __init__(self, client: EmbedClient, cache: EmbeddingCache | None, salt: str = "") -> None:
        self._client = client
        self._cache = cache
        self._salt = salt.encode()
        # a query must not wait in the bulk lane because a document happens to have the same text
        self._flights: dict[int, Flights[Row]] = {priority: Flights() for priority in embed_pb2.Priority.values()}

    async def model(self, deadline: Deadline) -> GetModelResponse:
        return await self._client.model(deadline)

    async def embed(self, request: EmbedRequest, deadline: Deadline, *, cached: bool = True) -> Embedded:
        """Vectors of `request.texts`, which the caller has validated. Never of two models in one reply."""
        if self._cache is None or not cached:
            return _unpack(await self._client.embed(request, deadline))
        try:
            async with asyncio.timeout(deadline.require()):  # what another request computes has that one's deadline
                return await self._of_one_model(self._cache, request, deadline)
        except TimeoutError as error:
            raise DeadlineExceeded("embed: the deadline passed before the vectors were there") from error

    async def _of_one_model(self, cache: EmbeddingCache, request: EmbedRequest, deadline: Deadline) -> Embedded:
        try:
            return await self._through_cache(cache, request, await self._client.model(deadline), deadline)
        except ModelChanged:
            model = await self._client.refresh(deadline)
        try:
            return await self._through_cache(cache, request, model, deadline)
        except ModelChanged as error:  # replicas disagree: a roll-out is going on
            raise Unavailable("embed service: the model is being changed, try again") from error

    async def embed_with(
        self, fingerprint: str, request: EmbedRequest, deadline: Deadline, *, cached: bool = True
    ) -> Embedded:
        """As `embed`, after a second look at the model in service when it is not known to be the wanted one."""
        if (await self._client.model(deadline)).fingerprint != fingerprint:
            await self._client.refresh(deadline)
        return await self.embed(request, deadline, cached=cached)

    async def _through_cache(
        self, cache: EmbeddingCache, request: EmbedRequest, model: GetModelResponse, deadline: Deadline
    ) -> Embedded:
        parts = key_parts(request, model, self._salt)
        keys = [key_of(model.fingerprint, parts, text.encode()) for text in request.texts]
        texts = dict(zip(keys, request.texts, strict=True))
        result = Embedded([], model.fingerprint, request.dimensions or model.dimensions)

        async def compute(missing: list[bytes]) -> Mapping[bytes, Row]:
            started = perf_counter()
            rows = await cache.get(missing, row_bytes(request.dtype, result.dimensions))
            cache_us = int((perf_counter() - started) * 1e6)
            result.cached += len(rows)
            absent = [key for key in missing if key not in rows]
            if absent:
                fresh = await self._compute(request, [texts[key] for key in absent], model.fingerprint, deadline)
                result.timings = fresh.timings
                computed = dict(zip(absent, fresh.rows, strict=True))
                cache.put(computed)
                rows.update(computed)
            result.timings.cache_us = cache_us
            return rows

        rows, coalesced = await self._flights[request.priority].fetch(keys, compute)
        _count(len(keys), len(texts), result.cached, coalesced)
        result.rows = [rows[key] for key in keys]
        return result

    async def _compute(
        self, request: EmbedRequest, texts: Sequence[str], fingerprint: str, deadline: Deadline
    ) -> Embedded:
        call = EmbedRequest()
        call.CopyFrom(request)
        del call.texts[:]
        call.texts.extend(texts)
        try:
            fresh = _unpack(await self._client.embed(call, deadline))
        except InvalidArgument as error:
            raise _as_sent(error, texts, request.texts) from error
        if fresh.fingerprint != fingerprint:
            raise ModelChanged
        return fresh


def key_parts(request: EmbedRequest, model: GetModelResponse, salt: bytes) -> tuple[bytes, ...]:
    """All that decides a text's vector beside text and model. Raises InvalidArgument for an unknown prompt."""
    numbers = (request.side, request.dtype, request.dimensions or model.dimensions, request.truncation)
    return (resolve_prompt(request, model).encode(), repr(numbers).encode(), salt)


def resolve_prompt(request: EmbedRequest, model: GetModelResponse) -> str:
    """The text that goes in front of every text."""
    chosen = request.WhichOneof("prompt")
    if chosen == "prompt_text":
        return request.prompt_text
    if chosen == "prompt_name":
        if request.prompt_name not in model.prompts:
            known = ", ".join(sorted(model.prompts)) or "none"
            raise InvalidArgument("prompt_name", f"{request.prompt_name!r:.80} is not a prompt of the model ({known})")
        return model.prompts[request.prompt_name]
    query = request.side == embed_pb2.SIDE_QUERY
    default = model.default_query_prompt if query else model.default_document_prompt
    return model.prompts.get(default, "")


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
    facts = zip(range(0, len(vectors), size), response.token_counts, response.truncated, strict=True)
    rows = [Row(vectors[at : at + size], tokens, truncated) for at, tokens, truncated in facts]
    return Embedded(rows, response.fingerprint, response.dimensions, 0, response.timings)


def _as_sent(error: InvalidArgument, texts: Sequence[str], sent: Sequence[str]) -> InvalidArgument:
    """The error with the text's place in the caller's list instead of its place among those that the cache lacked."""
    match = re.fullmatch(r"texts\[(\d+)\]", error.field)
    if match is None or int(match[1]) >= len(texts):
        return error
    place = list(sent).index(texts[int(match[1])])
    return InvalidArgument(f"texts[{place}]", str(error).removeprefix(f"{error.field}: "), reason=error.reason)


def _count(texts: int, distinct: int, hits: int, coalesced: int) -> None:
    metrics.CACHE_TEXTS.labels("hit").inc(hits)
    metrics.CACHE_TEXTS.labels("coalesced").inc(coalesced)
    metrics.CACHE_TEXTS.labels("duplicate").inc(texts - distinct)
    metrics.CACHE_TEXTS.labels("miss").inc(distinct - hits - coalesced)
