"""TEI's routes of an embedding model."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.http.call import Call
from gateway.http.dialects.openai import choice, positive
from gateway.http.dialects.tei import headers
from gateway.http.dialects.tei.messages import (
    DecodeRequest,
    EmbedRequest,
    SimilarityParameters,
    SimilarityRequest,
    SparseValue,
    Token,
    TokenizeRequest,
)
from gateway.http.models import Models, matrix
from gateway.http.reply import Reply, json_reply, parsed
from serving.errors import FailedPrecondition, InvalidArgument
from serving.limits import TOO_MANY_ITEMS
from siftline.embed.v1 import embed_pb2

_DIRECTIONS = {
    "": embed_pb2.TRUNCATION_END,
    "Right": embed_pb2.TRUNCATION_END,
    "right": embed_pb2.TRUNCATION_END,
    "Left": embed_pb2.TRUNCATION_START,
    "left": embed_pb2.TRUNCATION_START,
}


class Embedding:
    """Handlers."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def embed(self, call: Call) -> Reply:
        """A model that normalises does so also where the client says not to, as Haystack does by default."""
        started, asked = time.perf_counter(), parsed(call.body, EmbedRequest)
        fields: dict[str, Any] = {"dimensions": positive("dimensions", asked.dimensions)}
        model = await self._models.embed_model(call)
        texts, reply = await self._embedded(call, asked, **fields)
        vectors = matrix(reply)
        if asked.normalize is not False and not model.normalized:
            vectors = _normalized(vectors)
        return json_reply(list(vectors), headers=_headers(started, texts, reply))

    async def embed_sparse(self, call: Call) -> Reply:
        started, asked = time.perf_counter(), parsed(call.body, EmbedRequest)
        await self._require(call, embed_pb2.OUTPUT_SPARSE, "sparse embeddings")
        texts, reply = await self._embedded(call, asked, outputs=[embed_pb2.OUTPUT_SPARSE])
        ids = np.frombuffer(reply.sparse.ids, "<u4").tolist()
        weights = np.frombuffer(reply.sparse.weights, "<f4").tolist()
        values = [SparseValue(one, weight) for one, weight in zip(ids, weights, strict=True)]
        return json_reply(_split(values, reply.sparse.offsets), headers=_headers(started, texts, reply))

    async def embed_all(self, call: Call) -> Reply:
        started, asked = time.perf_counter(), parsed(call.body, EmbedRequest)
        await self._require(call, embed_pb2.OUTPUT_MULTI_VECTOR, "an embedding for each token")
        texts, reply = await self._embedded(call, asked, outputs=[embed_pb2.OUTPUT_MULTI_VECTOR])
        found = reply.multi_vectors
        rows = np.frombuffer(found.vectors, "<f4").reshape(-1, found.dimensions)
        return json_reply(_split(list(rows), found.offsets), headers=_headers(started, texts, reply))

    async def similarity(self, call: Call) -> Reply:
        """Cosine of the source sentence to each of the others."""
        started, asked = time.perf_counter(), parsed(call.body, SimilarityRequest)
        given = asked.parameters or SimilarityParameters()
        if not asked.inputs.sentences:
            raise InvalidArgument("inputs.sentences", "empty", reason="EMPTY")
        as_embed = EmbedRequest(
            inputs=[asked.inputs.source_sentence, *asked.inputs.sentences],
            truncate=given.truncate,
            truncation_direction=given.truncation_direction,
            prompt_name=given.prompt_name,
        )
        texts, reply = await self._embedded(call, as_embed)
        vectors = _normalized(matrix(reply))
        return json_reply(vectors[1:] @ vectors[0], headers=_headers(started, texts, reply))

    async def tokenize(self, call: Call) -> Reply:
        asked = parsed(call.body, TokenizeRequest)
        texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
        reply = await self._models.tokenize(
            call, texts=texts, add_special_tokens=asked.add_special_tokens, prompt_name=asked.prompt_name or ""
        )
        prompts = (await self._models.embed_model(call)).prompts
        prompt = prompts.get(asked.prompt_name or "", "")
        return json_reply([_tokens(prompt + text, each) for text, each in zip(texts, reply.texts, strict=True)])

    async def decode(self, call: Call) -> Reply:
        asked = parsed(call.body, DecodeRequest)
        lists = [item for item in asked.ids if isinstance(item, list)]
        if not lists:
            lists = [[item for item in asked.ids if isinstance(item, int)]]
        elif len(lists) != len(asked.ids):
            raise InvalidArgument("ids", "numbers and lists of numbers do not go together")
        return json_reply(list(await self._models.decode(call, lists, asked.skip_special_tokens)))

    async def _embedded(
        self, call: Call, asked: EmbedRequest, **fields: Any
    ) -> tuple[Sequence[str], embed_pb2.EmbedResponse]:
        texts = await self._models.texts(call, asked.inputs)
        check_batch("inputs", len(texts), (await self._models.embed_model(call)).limits.max_texts)
        if asked.prompt_name is not None:
            fields["prompt_name"] = asked.prompt_name
        direction = choice("truncation_direction", _DIRECTIONS, asked.truncation_direction)
        fields["truncation"] = embed_pb2.TRUNCATION_ERROR if asked.truncate is False else direction
        return texts, await self._models.embed(call, texts, **fields)

    async def _require(self, call: Call, output: int, what: str) -> None:
        model = await self._models.embed_model(call)
        if output not in model.outputs:
            raise FailedPrecondition(f"model {model.name} does not make {what}")


def check_batch(field: str, size: int, limit: int) -> None:
    """In TEI's words. Raises InvalidArgument."""
    if size > limit:
        raise InvalidArgument(field, f"batch size {size} > maximum allowed batch size {limit}", reason=TOO_MANY_ITEMS)


def _normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, np.float32(1e-12))
    return unit


def _split(items: list[Any], offsets: Sequence[int]) -> list[list[Any]]:
    return [items[begin:end] for begin, end in zip(offsets, offsets[1:], strict=False)]


def _tokens(text: str, found: embed_pb2.TokenizedText) -> list[Token]:
    return [
        Token(one, token, True) if special else Token(one, text[start:end], False, start, end)
        for one, token, special, start, end in zip(
            found.ids, found.tokens, found.special, found.starts, found.ends, strict=True
        )
    ]


def _headers(started: float, texts: Sequence[str], reply: embed_pb2.EmbedResponse) -> dict[str, str]:
    return headers.of(started, sum(map(len, texts)), sum(reply.token_counts), reply.timings)
