"""TEI's routes. One server of TEI has one model; here a body that fits more than one goes to the model that it fits."""

import msgspec

from gateway.auth.scopes import Scope
from gateway.caller import CALLER
from gateway.http.call import Call
from gateway.http.dialects import infinity
from gateway.http.dialects.tei import messages as asked
from gateway.http.dialects.tei.embedding import Embedding
from gateway.http.dialects.tei.information import Information
from gateway.http.dialects.tei.reranking import Reranking
from gateway.http.endpoint import Operation
from gateway.http.models import Models
from gateway.http.reply import Reply, parsed


class Tei:
    """Handlers."""

    def __init__(self, models: Models, information: Information) -> None:
        self._models = models
        self._embedding = Embedding(models)
        self._reranking = Reranking(models)
        self._information = information

    def operations(self) -> list[Operation]:
        one, other = self._embedding, self._reranking
        embed, rerank = Scope.EMBED, Scope.RERANK
        return [
            Operation("POST", "/embed", embed, one.embed, "Embeddings", asked.EmbedRequest, asked.Vectors),
            Operation("POST", "/embed_sparse", embed, one.embed_sparse, "Sparse", asked.EmbedRequest, asked.Sparse),
            Operation("POST", "/embed_all", embed, one.embed_all, "Per token", asked.EmbedRequest, list[asked.Vectors]),
            Operation("POST", "/similarity", embed, one.similarity, "Cosines", asked.SimilarityRequest, list[float]),
            Operation("POST", "/tokenize", embed, one.tokenize, "Tokens", asked.TokenizeRequest, asked.Tokens),
            Operation("POST", "/decode", embed, one.decode, "Texts of tokens", asked.DecodeRequest, list[str]),
            Operation(
                "POST",
                "/rerank",
                rerank,
                self.rerank,
                "Rerank (TEI, infinity)",
                (asked.RerankRequest, infinity.RerankInput),
                (list[asked.Rank], infinity.RerankOutput),
                also=infinity.INFINITY,
            ),
            Operation(
                "POST", "/predict", rerank, other.predict, "Scores of pairs", asked.PredictRequest, asked.Predictions
            ),
            *(
                Operation("POST", path, None, self.by_shape, "Embed, compare or rerank", asked.SHAPES, asked.REPLIES)
                for path in ("/", "/invocations")
            ),
            *self._information.operations(),
        ]

    async def rerank(self, call: Call) -> Reply:
        if infinity.is_meant(call.body):
            return await infinity.INFINITY.answer(infinity.rerank(self._models, call))
        return await self._reranking.rerank(call)

    async def by_shape(self, call: Call) -> Reply:
        shape = parsed(call.body, asked.Shape)
        if shape.texts is not msgspec.UNSET:
            CALLER.get().require(Scope.RERANK)
            return await self._reranking.rerank(call)
        CALLER.get().require(Scope.EMBED)
        if isinstance(shape.inputs, dict):
            return await self._embedding.similarity(call)
        return await self._embedding.embed(call)
