"""siftline.embed.v1.EmbedService on the wire: requests checked and converted, nothing computed."""

import time

import grpc

from services.embed.encoder import Encoder
from services.embed.quantization import LITTLE_UINT32, Dtype, quantize
from services.embed.request import check_model, made_by, options_of
from services.embed.settings import EmbedSettings
from services.embed.token_outputs import MultiVectors, SparseVectors
from serving.limits import deadline_of
from serving.model_runtime import ModelRuntime
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc


class EmbedServicer(embed_pb2_grpc.EmbedServiceServicer):
    """The service as its proto describes it."""

    def __init__(self, runtime: ModelRuntime, encoder: Encoder, settings: EmbedSettings) -> None:
        self._runtime = runtime
        self._encoder = encoder
        self._settings = settings

    async def Embed(
        self, request: embed_pb2.EmbedRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.EmbedResponse:
        started = time.perf_counter()
        options = options_of(request, self._runtime.model, self._settings)
        encoded = await self._encoder.encode(request.texts, options, deadline_of(context))
        response = embed_pb2.EmbedResponse(
            vectors=encoded.vectors,
            count=len(request.texts),
            dimensions=options.dimensions or self._runtime.model.dimensions,
            dtype=request.dtype or embed_pb2.DTYPE_FLOAT32,
            token_counts=encoded.lengths.tolist(),
            truncated=encoded.truncated.tolist(),
            fingerprint=self._runtime.fingerprint,
            sparse=_sparse(encoded.sparse, options.dtype),
            multi_vectors=_multi_vectors(encoded.multi_vectors, options.dtype),
        )
        timings = response.timings
        timings.tokenize_us = int(encoded.tokenize_seconds * 1e6)
        timings.queue_us = int(encoded.queue_seconds * 1e6)
        timings.compute_us = int(encoded.compute_seconds * 1e6)
        timings.total_us = int((time.perf_counter() - started) * 1e6)
        return response

    async def GetModel(
        self, request: embed_pb2.GetModelRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.GetModelResponse:
        model = self._runtime.model
        check_model(request.model, model)
        return embed_pb2.GetModelResponse(
            name=model.name,
            fingerprint=self._runtime.fingerprint,
            dimensions=model.dimensions,
            max_tokens=model.max_tokens,
            pooling=model.pooling,
            normalized=model.normalized,
            engine=self._runtime.info.engine,
            precision=self._runtime.precision,
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
        )


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
