"""OpenAI's embeddings and models, as the `openai` client, its imitators and TEI's own /v1/embeddings have them."""

import base64
from typing import Annotated, Any

import msgspec
import numpy as np

from gateway.api.embed import EmbedServicer
from gateway.auth.scopes import Scope
from gateway.http.call import Call
from gateway.http.dialect import Dialect
from gateway.http.endpoint import Operation
from gateway.http.reply import Reply, json_reply, parsed
from serving.errors import InvalidArgument, SiftlineError
from siftline.embed.v1 import embed_pb2

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def _error(error: SiftlineError, status: int) -> dict[str, Any]:
    """Nested for OpenAI's client; flat besides, as TEI has it."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    field = error.field if isinstance(error, InvalidArgument) else None
    nested = {"message": str(error), "type": kind, "param": field, "code": error.reason.lower()}
    return {"error": nested, "message": str(error), "type": kind, "code": status}


OPENAI = Dialect("openai", _error)


class EmbeddingsRequest(msgspec.Struct):
    input: str | list[str | int | list[int]]
    model: str = ""
    dimensions: int | None = None
    encoding_format: str = "float"
    user: str | None = None


class Embedding(msgspec.Struct):
    index: int
    embedding: Annotated[Any, msgspec.Meta(extra_json_schema={"anyOf": [{"type": "string"}, {"type": "array"}]})]
    object: str = "embedding"


class Usage(msgspec.Struct):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(msgspec.Struct):
    data: list[Embedding]
    model: str
    usage: Usage
    object: str = "list"


class OpenAI:
    """Handlers. The model that is in service answers whatever name the client sends, and the reply says which it is."""

    def __init__(self, embed: EmbedServicer) -> None:
        self._embed = embed

    def operations(self) -> list[Operation]:
        paths = ("/v1/embeddings", "/embeddings")
        return [
            Operation("POST", path, Scope.EMBED, self.embeddings, "Embeddings", EmbeddingsRequest, EmbeddingsReply)
            for path in paths
        ]

    async def embeddings(self, call: Call) -> Reply:
        asked = parsed(call.body, EmbeddingsRequest)
        if asked.encoding_format not in ("float", "base64"):
            raise InvalidArgument("encoding_format", f"{asked.encoding_format!r:.40} is neither float nor base64")
        request = embed_pb2.EmbedRequest(
            texts=_texts(asked.input),
            dimensions=asked.dimensions or 0,
            priority=call.priority,  # type: ignore[arg-type]
        )
        reply = await self._embed.Embed(request, call)
        model = await self._embed.GetModel(embed_pb2.GetModelRequest(), call)
        vectors = np.frombuffer(reply.vectors, "<f4").reshape(reply.count, reply.dimensions)
        data = [Embedding(place, _encoded(row, asked.encoding_format)) for place, row in enumerate(vectors)]
        tokens = sum(reply.token_counts)
        return json_reply(EmbeddingsReply(data, model.name, Usage(tokens, tokens)))


def _texts(given: str | list[str | int | list[int]]) -> list[str]:
    texts = [given] if isinstance(given, str) else [text for text in given if isinstance(text, str)]
    if isinstance(given, list) and len(texts) != len(given):
        raise InvalidArgument("input", "token ids are not taken")
    return texts


def _encoded(row: Any, encoding: str) -> Any:
    return base64.b64encode(row).decode() if encoding == "base64" else row
