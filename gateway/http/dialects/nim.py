"""NVIDIA NIM's ranking and health. Its embeddings are OpenAI's, with `input_type` and `truncate`."""

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


class ErrorReply(msgspec.Struct):
    message: str
    detail: str
    type: str
    object: str = "error"


def _error(error: SiftlineError, status: int) -> ErrorReply:
    return ErrorReply(str(error), str(error), error.reason.lower())


NIM = Dialect("nim", ErrorReply, _error)


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


class Ready(msgspec.Struct):
    message: str = "ready"
    ready: bool = True
    object: str = "health.response"


class Live(msgspec.Struct):
    message: str = "live"
    live: bool = True
    object: str = "health.response"


class Nim:
    """Handlers."""

    def __init__(self, models: Models, health: Health) -> None:
        self._models = models
        self._health = health

    def operations(self) -> list[Operation]:
        ranking = (Scope.RERANK, self.ranking, "Ranking by logit", RankingRequest, RankingReply)
        return [
            *(Operation("POST", path, *ranking) for path in ("/v1/ranking", "/ranking")),
            Operation("GET", "/v1/health/ready", None, self.ready, "200 when ready, else 503", None, Ready, open=True),
            Operation(
                "GET", "/v1/health/live", None, self.live, "200 as long as there is an answer", None, Live, open=True
            ),
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
        return json_reply(Ready())

    async def live(self, call: Call) -> Reply:
        return json_reply(Live())
