"""One embedding model in service: its replies, its facts, its canary texts."""

import time

from services.embed import canary
from services.embed.encoder import Encoder
from services.embed.quantization import LITTLE_UINT32, Dtype, quantize
from services.embed.request import check_model, made_by, options_of
from services.embed.settings import EmbedSettings
from services.embed.token_outputs import MultiVectors, SparseVectors
from services.embed.vocabulary import Vocabulary
from serving.model_runtime import ModelRuntime
from serving.tokenization import TokenizerPool
from siftline.embed.v1 import embed_pb2


class EmbedModel:
    """Answers for one model; EmbedServicer chooses which."""

    def __init__(self, runtime: ModelRuntime, tokenizer: TokenizerPool, settings: EmbedSettings) -> None:
        self.runtime = runtime
        self.vocabulary = Vocabulary(runtime.model, tokenizer, settings)
        self._encoder = Encoder(runtime, tokenizer, settings.max_message_bytes)
        self._tokenizer = tokenizer
        self._settings = settings

    async def answer(self, request: embed_pb2.EmbedRequest, deadline: float | None) -> embed_pb2.EmbedResponse:
        """Raises InvalidArgument, NotFound, and what the batcher raises."""
        started = time.perf_counter()
        options = options_of(request, self.runtime.model, self._settings)
        encoded = await self._encoder.encode(request.texts, options, deadline)
        response = embed_pb2.EmbedResponse(
            vectors=encoded.vectors,
            count=len(request.texts),
            dimensions=options.dimensions or self.runtime.model.dimensions,
            dtype=request.dtype or embed_pb2.DTYPE_FLOAT32,
            token_counts=encoded.lengths.tolist(),
            truncated=encoded.truncated.tolist(),
            windows=encoded.windows.tolist(),
            fingerprint=self.runtime.fingerprint,
            sparse=_sparse(encoded.sparse, options.dtype),
            multi_vectors=_multi_vectors(encoded.multi_vectors, options.dtype),
        )
        timings = response.timings
        timings.tokenize_us = int(encoded.tokenize_seconds * 1e6)
        timings.queue_us = int(encoded.queue_seconds * 1e6)
        timings.compute_us = int(encoded.compute_seconds * 1e6)
        timings.total_us = int((time.perf_counter() - started) * 1e6)
        return response

    def describe(self, request: embed_pb2.GetModelRequest) -> embed_pb2.GetModelResponse:
        """Everything that a client must know of the model. Raises NotFound for another name."""
        model = self.runtime.model
        check_model(request.model, model)
        return embed_pb2.GetModelResponse(
            name=model.name,
            fingerprint=self.runtime.fingerprint,
            dimensions=model.dimensions,
            max_tokens=model.max_tokens,
            pooling=model.pooling,
            normalized=model.normalized,
            engine=self.runtime.info.engine,
            precision=self.runtime.precision,
            prompts=model.prompts,
            default_query_prompt=model.default_query_prompt,
            default_document_prompt=model.default_document_prompt,
            limits=embed_pb2.Limits(
                max_texts=self._settings.max_texts,
                max_text_bytes=self._settings.max_text_bytes,
                max_message_bytes=self._settings.max_message_bytes,
                max_prompt_bytes=self._settings.max_prompt_bytes,
            ),
            licence=model.licence,
            source=model.source,
            outputs=made_by(model),
            multi_vector_dimensions=model.token_dimensions,
            prompt_max_tokens=model.prompt_max_tokens,
        )

    async def canary(self, other: "EmbedModel | None", *, parity: bool) -> float | None:
        """The lowest cosine with the other model's vectors, None when they are not of one size. Raises Refuted."""
        return await canary.check(self._encoder, other._encoder if other is not None else None, parity=parity)

    def close(self) -> None:
        self._tokenizer.close()


def _sparse(found: SparseVectors | None, dtype: Dtype) -> embed_pb2.SparseVectors | None:
    if found is None:
        return None
    return embed_pb2.SparseVectors(
        offsets=found.offsets.tolist(),
        ids=found.ids.astype(LITTLE_UINT32).tobytes(),
        weights=quantize(found.weights, dtype),
    )


def _multi_vectors(found: MultiVectors | None, dtype: Dtype) -> embed_pb2.MultiVectors | None:
    if found is None:
        return None
    return embed_pb2.MultiVectors(
        offsets=found.offsets.tolist(),
        vectors=quantize(found.vectors, dtype),
        dimensions=found.vectors.shape[1],
    )
