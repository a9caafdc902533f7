"""TEI's routes of a reranker."""

import time
from collections import defaultdict

from gateway.http.call import Call
from gateway.http.dialects.openai import choice
from gateway.http.dialects.tei import headers
from gateway.http.dialects.tei.embedding import check_batch
from gateway.http.dialects.tei.messages import Prediction, PredictRequest, Rank, RerankRequest
from gateway.http.models import Models
from gateway.http.reply import Reply, json_reply, parsed
from serving.errors import FailedPrecondition, InvalidArgument
from siftline.rerank.v1 import rerank_pb2

_DIRECTIONS = {"": None, "Right": None, "right": None}
_LONG_PASSAGES = {
    None: rerank_pb2.LONG_PASSAGE_WINDOW,
    True: rerank_pb2.LONG_PASSAGE_TRUNCATE,
    False: rerank_pb2.LONG_PASSAGE_ERROR,
}
LABEL = "LABEL_0"  # what transformers calls the only output of a model that has no names for its outputs


class Reranking:
    """Handlers. Without `truncate` long texts are read whole, where TEI would cut them."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def rerank(self, call: Call) -> Reply:
        started, asked = time.perf_counter(), parsed(call.body, RerankRequest)
        choice("truncation_direction", _DIRECTIONS, asked.truncation_direction)
        check_batch("texts", len(asked.texts), (await self._models.rerank_model(call)).limits.max_passages)
        reply = await self._models.rerank(call, asked.query, asked.texts, long_passage=_LONG_PASSAGES[asked.truncate])
        ranks = [
            Rank(
                each.index,
                each.logit if asked.raw_scores else each.score,
                asked.texts[each.index] if asked.return_text else None,
            )
            for each in reply.results
        ]
        characters = len(asked.query) * len(asked.texts) + sum(map(len, asked.texts))
        return json_reply(ranks, headers=headers.of(started, characters, reply.tokens, reply.timings))

    async def predict(self, call: Call) -> Reply:
        """A pair, or a list of pairs. What the model has a score for is a pair: one text alone is refused."""
        started, asked = time.perf_counter(), parsed(call.body, PredictRequest)
        choice("truncation_direction", _DIRECTIONS, asked.truncation_direction)
        pairs, single = _pairs(asked)
        check_batch("inputs", len(pairs), (await self._models.rerank_model(call)).limits.max_passages)
        by_query: dict[str, list[int]] = defaultdict(list)
        for place, (query, _) in enumerate(pairs):
            by_query[query].append(place)
        predictions: list[list[Prediction]] = [[] for _ in pairs]
        tokens = 0
        for query, places in by_query.items():
            reply = await self._models.rerank(
                call, query, [pairs[place][1] for place in places], long_passage=_LONG_PASSAGES[asked.truncate]
            )
            tokens += reply.tokens
            for each in reply.results:
                score = each.logit if asked.raw_scores else each.score
                predictions[places[each.index]] = [Prediction(score, LABEL)]
        characters = sum(len(first) + len(second) for first, second in pairs)
        body = predictions[0] if single else predictions
        return json_reply(body, headers=headers.of(started, characters, tokens))


def _pairs(asked: PredictRequest) -> tuple[list[tuple[str, str]], bool]:
    """The pairs, and whether it is one that does not stand in a list. Raises InvalidArgument, FailedPrecondition."""
    inputs = asked.inputs
    single = isinstance(inputs, str) or all(isinstance(item, str) for item in inputs)
    items = [[inputs] if isinstance(inputs, str) else inputs] if single else inputs
    if not items or not items[0]:
        raise InvalidArgument("inputs", "empty", reason="EMPTY")
    pairs = []
    for place, item in enumerate(items):
        texts = [item] if isinstance(item, str) else [text for text in item if isinstance(text, str)]
        if len(texts) == 1:
            raise FailedPrecondition("model is not a classifier model: it scores pairs, [[query, text], …]")
        if len(texts) != 2:
            raise InvalidArgument(f"inputs[{place}]", f"{len(texts)} texts; a pair has 2")
        pairs.append((texts[0], texts[1]))
    return pairs, single
