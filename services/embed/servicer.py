"""siftline.embed.v1.EmbedService on the wire: requests checked and converted, nothing computed."""

import time
from collections.abc import Sequence

import grpc

from services.embed.encoder import EncodeOptions, Encoder
from services.embed.quantization import Dtype
from services.embed.settings import EmbedSettings
from serving.batching import Priority
from serving.errors import InvalidArgument, NotFound
from serving.limits import check_choice, check_count, check_text, deadline_of
from serving.model_runtime import ModelRuntime
from serving.served_model import ServedModel
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc

DTYPES = {
    embed_pb2.DTYPE_UNSPECIFIED: Dtype.FLOAT32,
    embed_pb2.DTYPE_FLOAT32: Dtype.FLOAT32,
    embed_pb2.DTYPE_FLOAT16: Dtype.FLOAT16,
    embed_pb2.DTYPE_INT8: Dtype.INT8,
    embed_pb2.DTYPE_BINARY: Dtype.BINARY,
}
TRUNCATIONS = {
    embed_pb2.TRUNCATION_UNSPECIFIED: "end",
    embed_pb2.TRUNCATION_ERROR: "error",
    embed_pb2.TRUNCATION_END: "end",
    embed_pb2.TRUNCATION_START: "start",
    embed_pb2.TRUNCATION_WINDOW: "window",
}
PRIORITIES = {
    embed_pb2.PRIORITY_UNSPECIFIED: Priority.INTERACTIVE,
    embed_pb2.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    embed_pb2.PRIORITY_BULK: Priority.BULK,
}


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
        options = self._options(request)
        encoded = await self._encoder.encode(request.texts, options, deadline_of(context))
        response = embed_pb2.EmbedResponse(
            vectors=encoded.vectors,
            count=len(request.texts),
            dimensions=options.dimensions or self._runtime.model.dimensions,
            dtype=request.dtype or embed_pb2.DTYPE_FLOAT32,
            token_counts=encoded.lengths.tolist(),
            truncated=encoded.truncated.tolist(),
            fingerprint=self._runtime.fingerprint,
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
        _check_model(request.model, model)
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
        )

    def _options(self, request: embed_pb2.EmbedRequest) -> EncodeOptions:
        """Checks everything of a request that can be wrong; the message names the field and the limit."""
        model, settings = self._runtime.model, self._settings
        _check_model(request.model, model)
        check_count("texts", len(request.texts), settings.max_texts)
        for index, text in enumerate(request.texts):
            check_text(f"texts[{index}]", text, settings.max_text_bytes)
        if request.dimensions > model.dimensions:
            raise InvalidArgument("dimensions", f"{request.dimensions}; {model.name} has {model.dimensions}")
        return EncodeOptions(
            self._prompts(request, model),
            check_choice("truncation", TRUNCATIONS, request.truncation),
            check_choice("dtype", DTYPES, request.dtype),
            request.dimensions,
            check_choice("priority", PRIORITIES, request.priority),
        )

    def _prompts(self, request: embed_pb2.EmbedRequest, model: ServedModel) -> Sequence[str]:
        """None, one for all texts, or one for each."""
        if not request.prompt_texts:
            return tuple(filter(None, [self._prompt(request, model)]))
        if request.WhichOneof("prompt"):
            raise InvalidArgument("prompt_texts", f"not together with {request.WhichOneof('prompt')}")
        if len(request.prompt_texts) != len(request.texts):
            found = f"{len(request.prompt_texts)} prompts for {len(request.texts)} texts"
            raise InvalidArgument("prompt_texts", f"{found}; one for each is needed")
        for index, prompt in enumerate(request.prompt_texts):
            check_text(f"prompt_texts[{index}]", prompt, self._settings.max_prompt_bytes, empty=True)
        return request.prompt_texts

    def _prompt(self, request: embed_pb2.EmbedRequest, model: ServedModel) -> str:
        if request.side not in (embed_pb2.SIDE_UNSPECIFIED, embed_pb2.SIDE_QUERY, embed_pb2.SIDE_DOCUMENT):
            raise InvalidArgument("side", f"{request.side} is none of SIDE_QUERY, SIDE_DOCUMENT")
        match request.WhichOneof("prompt"):
            case "prompt_text":
                check_text("prompt_text", request.prompt_text, self._settings.max_prompt_bytes, empty=True)
                return request.prompt_text
            case "prompt_name":
                name = request.prompt_name
            case _:
                query = request.side == embed_pb2.SIDE_QUERY
                name = model.default_query_prompt if query else model.default_document_prompt
                if not name:
                    return ""
        if name not in model.prompts:
            known = ", ".join(sorted(model.prompts)) or "none"
            raise InvalidArgument("prompt_name", f"{name!r} is not a prompt of {model.name}; it has: {known}")
        return model.prompts[name]


def _check_model(name: str, model: ServedModel) -> None:
    if name and name != model.name:
        raise NotFound(f"model: {name!r} is not served here; {model.name!r} is")
