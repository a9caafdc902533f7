"""infinity's rerank. Its embeddings and models are OpenAI's."""

import time
import uuid
from typing import Any

import msgspec

from gateway.http.call import Call
from gateway.http.dialect import Dialect
from gateway.http.dialects.openai import OPENAI, positive
from gateway.http.models import Models
from gateway.http.reply import Reply, json_reply, parsed

INFINITY = Dialect("infinity", OPENAI.fault, OPENAI.error, names={"passages": "documents"})


class RerankInput(msgspec.Struct):
    query: str
    documents: list[str]
    model: str | None = None
    top_n: int | None = None
    return_documents: bool | None = None
    raw_scores: bool | None = None


class RankedDocument(msgspec.Struct, omit_defaults=True):
    """The document is a plain string, where Cohere and Jina have an object."""

    index: int
    relevance_score: float
    document: str | None = None


class RerankOutput(msgspec.Struct):
    results: list[RankedDocument]
    model: str
    usage: dict[str, int]
    id: str
    created: int
    object: str = "rerank"


def is_meant(body: bytes) -> bool:
    """Whether a body for /rerank is infinity's and not TEI's."""
    try:
        return msgspec.json.decode(body, type=_Shape).documents is not msgspec.UNSET
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


class _Shape(msgspec.Struct):
    documents: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


async def rerank(models: Models, call: Call) -> Reply:
    asked = parsed(call.body, RerankInput)
    reply = await models.rerank(call, asked.query, asked.documents, top_n=positive("top_n", asked.top_n))
    results: list[Any] = [
        RankedDocument(
            each.index,
            each.logit if asked.raw_scores else each.score,
            asked.documents[each.index] if asked.return_documents else None,
        )
        for each in reply.results
    ]
    usage = {"prompt_tokens": reply.tokens, "total_tokens": reply.tokens}
    model = await models.rerank_model(call)
    return json_reply(RerankOutput(results, model.name, usage, str(uuid.uuid4()), int(time.time())))
