"""The two models as the dialects use them: texts in, replies of the servicers out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.api.embed import EmbedServicer
from gateway.api.rerank import RerankServicer
from gateway.http.call import Call
from gateway.http.token_ids import TokenIds
from serving.errors import InvalidArgument
from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2

Texts = str | Sequence[str | int | list[int]]

TRUNCATIONS = {
    "": embed_pb2.TRUNCATION_UNSPECIFIED,
    "NONE": embed_pb2.TRUNCATION_ERROR,
    "START": embed_pb2.TRUNCATION_START,
    "END": embed_pb2.TRUNCATION_END,
}


class Models:
    """Calls of the embed and the rerank service with what every HTTP call carries: deadline and priority."""

    def __init__(self, embed: EmbedServicer, rerank: RerankServicer, token_ids: TokenIds) -> None:
        self._embed = embed
        self._rerank = rerank
        self._token_ids = token_ids

    async def embed_model(self, call: Call) -> embed_pb2.GetModelResponse:
        return await self._embed.known_model(call)

    async def rerank_model(self, call: Call) -> rerank_pb2.GetModelResponse:
        return await self._rerank.known_model(call)

    async def embed(self, call: Call, texts: Texts, **fields: Any) -> embed_pb2.EmbedResponse:
        """`fields` are those of EmbedRequest. Token ids are turned into text first."""
        fields.setdefault("priority", call.priority)
        return await self._embed.Embed(embed_pb2.EmbedRequest(texts=await self.texts(call, texts), **fields), call)

    async def rerank(self, call: Call, query: str, passages: Sequence[str], **fields: Any) -> rerank_pb2.RerankResponse:
        fields.setdefault("priority", call.priority)
        request = rerank_pb2.RerankRequest(query=query, passages=passages, **fields)
        return await self._rerank.Rerank(request, call)

    async def tokenize(self, call: Call, **fields: Any) -> embed_pb2.TokenizeResponse:
        return await self._embed.Tokenize(embed_pb2.TokenizeRequest(**fields), call)

    async def decode(self, call: Call, ids: Sequence[Sequence[int]], skip_special_tokens: bool) -> Sequence[str]:
        texts = [embed_pb2.TokenIds(ids=_checked(each)) for each in ids]
        request = embed_pb2.DecodeRequest(texts=texts, skip_special_tokens=skip_special_tokens)
        return (await self._embed.Decode(request, call)).texts

    async def texts(self, call: Call, given: Texts) -> list[str]:
        """A text, a list of texts, of token ids (one text), or of lists of token ids (a text each)."""
        if isinstance(given, str):
            return [given]
        kinds = {type(item) for item in given}
        if kinds <= {str}:
            return [item for item in given if isinstance(item, str)]
        if kinds == {int}:
            given = [[item for item in given if isinstance(item, int)]]
        elif kinds != {list}:
            raise InvalidArgument("texts", "strings and token ids do not go together in one list")
        return await self._token_ids.texts(call, [item for item in given if isinstance(item, list)])


def _checked(ids: Sequence[int]) -> Sequence[int]:
    if not all(0 <= one < 1 << 32 for one in ids):
        raise InvalidArgument("ids", "holds a number that is no token id")
    return ids


def matrix(reply: embed_pb2.EmbedResponse) -> NDArray[np.float32]:
    """The vectors of a float32 reply, [n, d], without a copy."""
    return np.frombuffer(reply.vectors, "<f4").reshape(reply.count, reply.dimensions)
