"""NVIDIA NIM's ranking and health. Its embeddings are OpenAI's, with `input_type` and `truncate`."""

from typing import Any

import msgspec

from gateway.auth.scopes import Scope
from gateway.http.call import Call
from gateway.http.dialect import Dialect
from gateway.http.dialects.openai import choice
from gateway.http.endpoint import Operation
from gateway.http.models import Models
from gateway.http.reply import Reply, json_reply, parsed
from serving.errors import SiftlineError, Unavailable
from serving.health import Health
from siftline.rerank.v1 import rerank_pb2

# Without truncation a long passage is read whole, where NIM refuses it.
_TRUNCATIONS = {"": rerank_pb2.LONG_PASSAGE_WINDOW, "NONE": rerank_pb2.LONG_PASSAGE_WINDOW}
_TRUNCATIONS["END"] = rerank_pb2.LONG_PASSAGE_TRUNCATE


def _error(error: SiftlineError, status: int) -> dict[str, Any]:
    return {"object": "error", "message": str(error), "detail": str(error), "type": error.reason.lower()}


NIM = Dialect("nim", _error)


class Text(msgspec.Struct):
    text: str


class RankingRequest(msgspec.Struct):
    query: Text
    passages: list[Text]
    model: str = ""
    truncate: str | None = None


class Ranking(msgspec.Struct):
    index: int
    logit: float


class RankingReply(msgspec.Struct):
    rankings: list[Ranking]
    usage: dict[str, int]


class Nim:
    """Handlers."""

    def __init__(self, models: Models, health: Health) -> None:
        self._models = models
        self._health = health

    def operations(self) -> list[Operation]:
        ranking = (Scope.RERANK, self.ranking, "Ranking by logit", RankingRequest, RankingReply)
        return [
            *(Operation("POST", path, *ranking) for path in ("/v1/ranking", "/ranking")),
            Operation("GET", "/v1/health/ready", None, self.ready, "200 when ready, else 503", open=True),
            Operation("GET", "/v1/health/live", None, self.live, "200 as long as there is an answer", open=True),
        ]

    async def ranking(self, call: Call) -> Reply:
        asked = parsed(call.body, RankingRequest)
        long_passage = choice("truncate", _TRUNCATIONS, asked.truncate)
        passages = [passage.text for passage in asked.passages]
        reply = await self._models.rerank(call, asked.query.text, passages, long_passage=long_passage)
        usage = {"prompt_tokens": reply.tokens, "total_tokens": reply.tokens}
        return json_reply(RankingReply([Ranking(each.index, each.logit) for each in reply.results], usage))

    async def ready(self, call: Call) -> Reply:
        if not self._health.serving:
            raise Unavailable("not ready")
        return json_reply({"object": "health.response", "message": "ready", "ready": True})

    async def live(self, call: Call) -> Reply:
        return json_reply({"object": "health.response", "message": "live", "live": True})
