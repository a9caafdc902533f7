"""Cohere's rerank (v1, v2) and embed (v1, v2). Its v1 rerank is Jina's too: the reply and the errors serve both."""

import base64
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.auth.scopes import Scope
from gateway.http.call import PRIORITIES, Call
from gateway.http.dialect import Dialect
from gateway.http.dialects.openai import choice, positive
from gateway.http.endpoint import Operation
from gateway.http.models import TRUNCATIONS, Models, matrix
from gateway.http.reply import Reply, json_reply, parsed
from serving.errors import InvalidArgument, SiftlineError
from siftline.embed.v1 import embed_pb2


class ErrorReply(msgspec.Struct):
    """`detail` is Jina's."""

    message: str
    detail: str


def _error(error: SiftlineError, status: int) -> ErrorReply:
    return ErrorReply(str(error), str(error))


COHERE = Dialect("cohere", ErrorReply, _error, names={"passages": "documents"})

_INPUT_TYPES = {
    "": embed_pb2.SIDE_UNSPECIFIED,
    "search_query": embed_pb2.SIDE_QUERY,
    "search_document": embed_pb2.SIDE_DOCUMENT,
    "classification": embed_pb2.SIDE_DOCUMENT,
    "clustering": embed_pb2.SIDE_DOCUMENT,
}


class RerankRequest(msgspec.Struct):
    """`max_tokens_per_doc` and `max_chunks_per_doc` are taken and not needed: long documents are read whole."""

    query: str
    documents: list[str | dict[str, Any]]
    model: str | None = None
    top_n: int | None = None
    rank_fields: list[str] | None = None
    return_documents: bool | None = None
    max_chunks_per_doc: int | None = None
    max_tokens_per_doc: int | None = None
    priority: int | None = None


class Document(msgspec.Struct):
    text: str


class Result(msgspec.Struct, omit_defaults=True):
    index: int
    relevance_score: float
    document: Document | None = None


class RerankReply(msgspec.Struct):
    """`object` and `usage` are Jina's."""

    id: str
    results: list[Result]
    model: str
    usage: dict[str, int]
    meta: dict[str, Any]
    object: str = "list"


class EmbedRequest(msgspec.Struct):
    texts: list[str]
    model: str | None = None
    input_type: str | None = None
    embedding_types: list[str] | None = None
    output_dimension: int | None = None
    truncate: str | None = None
    max_tokens: int | None = None
    priority: int | None = None


class EmbedReply(msgspec.Struct, omit_defaults=True):
    id: str
    embeddings: Annotated[Any, msgspec.Meta(extra_json_schema={"type": ["object", "array"]})]
    texts: list[str]
    meta: dict[str, Any]
    response_type: str = ""


def _binary(vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.packbits(vectors > 0, axis=1)


def _int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    rounded: NDArray[np.int8] = np.clip(np.rint(vectors * 127), -127, 127).astype(np.int8)
    return rounded


# Signed and unsigned differ by 128, as in Cohere's replies.
_TYPES: dict[str, Callable[[NDArray[np.float32]], Any]] = {
    "float": lambda vectors: vectors,
    "int8": _int8,
    "uint8": lambda vectors: (_int8(vectors).astype(np.int16) + 128).astype(np.uint8),
    "binary": lambda vectors: (_binary(vectors).astype(np.int16) - 128).astype(np.int8),
    "ubinary": _binary,
    "base64": lambda vectors: [base64.b64encode(row).decode() for row in vectors],
}


class Cohere:
    """Handlers."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def operations(self) -> list[Operation]:
        rerank = (Scope.RERANK, self.rerank, "Rerank (Cohere, Jina)", RerankRequest, RerankReply)
        return [
            Operation("POST", "/v1/rerank", *rerank),
            Operation(
                "POST", "/v2/rerank", Scope.RERANK, self.rerank_2, "Rerank (Cohere v2)", RerankRequest, RerankReply
            ),
            Operation(
                "POST", "/v1/embed", Scope.EMBED, self.embed_1, "Embeddings (Cohere v1)", EmbedRequest, EmbedReply
            ),
            Operation(
                "POST", "/v2/embed", Scope.EMBED, self.embed_2, "Embeddings (Cohere v2)", EmbedRequest, EmbedReply
            ),
        ]

    async def rerank(self, call: Call) -> Reply:
        asked = parsed(call.body, RerankRequest)
        return await self._rerank(call, asked, "1", echo=bool(asked.return_documents))

    async def rerank_2(self, call: Call) -> Reply:
        """Documents are not echoed in v2."""
        return await self._rerank(call, parsed(call.body, RerankRequest), "2", echo=False)

    async def _rerank(self, call: Call, asked: RerankRequest, version: str, *, echo: bool) -> Reply:
        texts = [text_of(place, each, asked.rank_fields) for place, each in enumerate(asked.documents)]
        top_n = positive("top_n", asked.top_n)
        reply = await self._models.rerank(
            call, asked.query, texts, top_n=top_n, priority=_priority(call, asked.priority)
        )
        results = [
            Result(each.index, each.score, Document(texts[each.index]) if echo else None) for each in reply.results
        ]
        usage = {"total_tokens": reply.tokens, "prompt_tokens": reply.tokens}
        model = await self._models.rerank_model(call)
        meta = _meta(version, {"search_units": 1}, reply.tokens)
        return json_reply(RerankReply(str(uuid.uuid4()), results, model.name, usage, meta))

    async def embed_1(self, call: Call) -> Reply:
        asked = parsed(call.body, EmbedRequest)
        vectors, tokens = await self._embed(call, asked)
        meta = _meta("1", {"input_tokens": tokens}, tokens)
        identity = str(uuid.uuid4())
        if not asked.embedding_types:
            return json_reply(EmbedReply(identity, vectors, asked.texts, meta, "embeddings_floats"))
        by_type = _by_type(vectors, asked.embedding_types)
        return json_reply(EmbedReply(identity, by_type, asked.texts, meta, "embeddings_by_type"))

    async def embed_2(self, call: Call) -> Reply:
        asked = parsed(call.body, EmbedRequest)
        vectors, tokens = await self._embed(call, asked)
        by_type = _by_type(vectors, asked.embedding_types or ["float"])
        meta = _meta("2", {"input_tokens": tokens}, tokens)
        return json_reply(EmbedReply(str(uuid.uuid4()), by_type, asked.texts, meta))

    async def _embed(self, call: Call, asked: EmbedRequest) -> tuple[NDArray[np.float32], int]:
        for kind in asked.embedding_types or ():
            choice("embedding_types", _TYPES, kind)
        reply = await self._models.embed(
            call,
            asked.texts,
            side=choice("input_type", _INPUT_TYPES, asked.input_type),
            dimensions=positive("output_dimension", asked.output_dimension),
            truncation=choice("truncate", TRUNCATIONS, asked.truncate),
            priority=_priority(call, asked.priority),
        )
        return matrix(reply), sum(reply.token_counts)


def text_of(place: int, document: str | dict[str, Any], fields: list[str] | None = None) -> str:
    """Of a document that is its text, or an object with it in the field `text` or in those asked for."""
    if isinstance(document, str):
        return document
    parts = [document.get(name) for name in fields or ("text",)]
    if not all(isinstance(part, str) for part in parts):
        raise InvalidArgument(f"documents[{place}]", f"has no text in {', '.join(fields or ('text',))}")
    return "\n".join(str(part) for part in parts)


def _priority(call: Call, given: int | None) -> int:
    """Cohere's 0 is the highest; whatever is behind it may wait."""
    return call.priority if given is None else PRIORITIES["bulk" if given > 0 else "interactive"]


def _by_type(vectors: NDArray[np.float32], kinds: list[str]) -> dict[str, Any]:
    return {kind: _TYPES[kind](vectors) for kind in kinds}


def _meta(version: str, billed: dict[str, int], tokens: int) -> dict[str, Any]:
    return {"api_version": {"version": version}, "billed_units": billed, "tokens": {"input_tokens": tokens}}
