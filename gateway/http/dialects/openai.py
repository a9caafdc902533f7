"""OpenAI's embeddings and models, as the `openai` client and its imitators have them, with NIM's additions."""

import base64
from contextlib import suppress
from typing import Annotated, Any

import msgspec

from gateway.auth.scopes import Scope
from gateway.http.call import Call
from gateway.http.dialect import Dialect
from gateway.http.endpoint import Operation
from gateway.http.models import TRUNCATIONS, Models, matrix
from gateway.http.reply import Reply, json_reply, parsed
from serving.errors import InvalidArgument, NotFound, SiftlineError, Unavailable
from siftline.embed.v1 import embed_pb2

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_SIDES = {"": 0, "query": embed_pb2.SIDE_QUERY, "passage": embed_pb2.SIDE_DOCUMENT, "document": embed_pb2.SIDE_DOCUMENT}


class Fault(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str


class ErrorReply(msgspec.Struct):
    """Nested for OpenAI's client; flat besides, as TEI has it."""

    error: Fault
    message: str
    type: str
    code: int


def _error(error: SiftlineError, status: int) -> ErrorReply:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    field = error.field if isinstance(error, InvalidArgument) else None
    nested = Fault(str(error), kind, field, error.reason.lower())
    return ErrorReply(nested, str(error), kind, status)


OPENAI = Dialect("openai", ErrorReply, _error, names={"texts": "input"})


class EmbeddingsRequest(msgspec.Struct):
    """`input_type` and `truncate` are NIM's; a model name that ends in -query or -passage says the side too."""

    input: str | list[str | int | list[int]]
    model: str = ""
    dimensions: int | None = None
    encoding_format: str | None = None
    user: str | None = None
    input_type: str | None = None
    truncate: str | None = None


class Embedding(msgspec.Struct):
    index: int
    embedding: Annotated[
        Any, msgspec.Meta(extra_json_schema={"anyOf": [{"type": "string"}, {"type": "array", "items": {}}]})
    ]
    object: str = "embedding"


class Usage(msgspec.Struct):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(msgspec.Struct):
    data: list[Embedding]
    model: str
    usage: Usage
    object: str = "list"


class Model(msgspec.Struct):
    id: str
    capabilities: list[str]
    object: str = "model"
    created: int = 0
    owned_by: str = "siftline"


class ModelsReply(msgspec.Struct):
    data: list[Model]
    object: str = "list"


class OpenAI:
    """Handlers. The model that is in service answers whatever name the client sends, and the reply says which it is."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def operations(self) -> list[Operation]:
        embed = (Scope.EMBED, self.embeddings, "Embeddings", EmbeddingsRequest, EmbeddingsReply)
        return [
            *(Operation("POST", path, *embed) for path in ("/v1/embeddings", "/embeddings")),
            *(
                Operation("GET", path, None, self.all, "Models", None, ModelsReply)
                for path in ("/v1/models", "/models")
            ),
            Operation("GET", "/v1/models/{model:path}", None, self.one, "One model", None, Model),
        ]

    async def embeddings(self, call: Call) -> Reply:
        asked = parsed(call.body, EmbeddingsRequest)
        encoding = asked.encoding_format or "float"
        if encoding not in ("float", "base64"):
            raise InvalidArgument("encoding_format", f"{encoding!r:.40} is neither float nor base64")
        reply = await self._models.embed(
            call,
            asked.input,
            dimensions=positive("dimensions", asked.dimensions),
            side=_side(asked),
            truncation=choice("truncate", TRUNCATIONS, asked.truncate),
        )
        model = await self._models.embed_model(call)
        rows = matrix(reply)
        data = [
            Embedding(place, base64.b64encode(row).decode() if encoding == "base64" else row)
            for place, row in enumerate(rows)
        ]
        tokens = sum(reply.token_counts)
        return json_reply(EmbeddingsReply(data, model.name, Usage(tokens, tokens)))

    async def all(self, call: Call) -> Reply:
        return json_reply(ModelsReply(await self._known(call)))

    async def one(self, call: Call) -> Reply:
        for model in await self._known(call):
            if model.id == call.path["model"]:
                return json_reply(model)
        raise NotFound(f"model {call.path['model']!r:.200} is not served here")

    async def _known(self, call: Call) -> list[Model]:
        models = [Model((await self._models.embed_model(call)).name, ["embed"])]
        with suppress(Unavailable):  # there is none, or it is away: what is there is told of
            models.append(Model((await self._models.rerank_model(call)).name, ["rerank"]))
        return models


def _side(asked: EmbeddingsRequest) -> int:
    _, _, suffix = asked.model.rpartition("-")
    named = suffix if suffix in ("query", "passage") else ""
    side: int = choice("input_type", _SIDES, asked.input_type or named)
    return side


def choice(field: str, choices: dict[str, Any], value: str | None) -> Any:
    """What the word stands for; None and "" are the first. Raises InvalidArgument."""
    if (value or "") not in choices:
        raise InvalidArgument(field, f"{value!r:.40} is not one of {', '.join(filter(None, choices))}")
    return choices[value or ""]


def positive(field: str, value: int | None) -> int:
    """0 stands for None. Raises InvalidArgument for what is not a count."""
    if value is not None and not 0 < value < 1 << 31:
        raise InvalidArgument(field, f"{value} is not a number above 0")
    return value or 0
