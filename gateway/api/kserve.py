"""The Open Inference Protocol (KServe v2): text in, embeddings or logits out, under the names of the models in service.

Tensors are those of NIM: `text` BYTES gives `embeddings` FP32 and `token_count` INT64; `query` and `passage` BYTES give
`index` INT32 and `logit` FP32, best first. A model's name may have `_` for what is no letter or digit, as there.
"""

import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from gateway.api.embed import EmbedServicer
from gateway.api.rerank import RerankServicer
from gateway.auth.scopes import Scope
from gateway.caller import CALLER
from gateway.dialects import kserve_pb2 as pb
from gateway.dialects import kserve_pb2_grpc
from serving.errors import InvalidArgument, NotFound, SiftlineError, Unavailable
from serving.health import Health
from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2

SERVICE = "inference.GRPCInferenceService"
_SIDES = {"": 0, "query": embed_pb2.SIDE_QUERY, "passage": embed_pb2.SIDE_DOCUMENT}
_TRUNCATIONS = {
    "": embed_pb2.TRUNCATION_END,
    "NONE": embed_pb2.TRUNCATION_ERROR,
    "START": embed_pb2.TRUNCATION_START,
    "END": embed_pb2.TRUNCATION_END,
}


class KServeServicer(kserve_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, embed: EmbedServicer, rerank: RerankServicer, health: Health) -> None:
        self._embed = embed
        self._rerank = rerank
        self._health = health

    async def ServerLive(self, request: Any, context: grpc.aio.ServicerContext) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: grpc.aio.ServicerContext) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._health.serving)

    async def ServerMetadata(self, request: Any, context: grpc.aio.ServicerContext) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name="siftline", version=version("siftline"))

    async def ModelReady(
        self, request: pb.ModelReadyRequest, context: grpc.aio.ServicerContext
    ) -> pb.ModelReadyResponse:
        try:
            await self._is_embedder(request.name, context)
        except SiftlineError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: grpc.aio.ServicerContext
    ) -> pb.ModelMetadataResponse:
        tensor = pb.ModelMetadataResponse.TensorMetadata
        if await self._is_embedder(request.name, context):
            size = (await self._embed.known_model(context)).dimensions
            inputs = [tensor(name="text", datatype="BYTES", shape=[-1, 1])]
            outputs = [
                tensor(name="embeddings", datatype="FP32", shape=[-1, size]),
                tensor(name="token_count", datatype="INT64", shape=[-1]),
            ]
        else:
            inputs = [tensor(name=name, datatype="BYTES", shape=[-1, 1]) for name in ("query", "passage")]
            outputs = [
                tensor(name="index", datatype="INT32", shape=[-1]),
                tensor(name="logit", datatype="FP32", shape=[-1]),
            ]
        return pb.ModelMetadataResponse(
            name=request.name, versions=["1"], platform="siftline", inputs=inputs, outputs=outputs
        )

    async def ModelInfer(
        self, request: pb.ModelInferRequest, context: grpc.aio.ServicerContext
    ) -> pb.ModelInferResponse:
        embeds = await self._is_embedder(request.model_name, context)
        outputs = await (self._embedded(request, context) if embeds else self._ranked(request, context))
        wanted = [each.name for each in request.outputs] or list(outputs)
        for name in wanted:
            if name not in outputs:
                raise InvalidArgument("outputs", f"{name!r:.80} is not one of {', '.join(outputs)}")
        return pb.ModelInferResponse(
            model_name=request.model_name,
            model_version="1",
            id=request.id,
            outputs=[_described(name, outputs[name]) for name in wanted],
            raw_output_contents=[outputs[name].tobytes() for name in wanted],
        )

    async def _embedded(self, request: pb.ModelInferRequest, context: Any) -> dict[str, NDArray[Any]]:
        CALLER.get().require(Scope.EMBED)
        asked = embed_pb2.EmbedRequest(
            texts=_texts(request, "text"),
            side=_word(request, "input_type", _SIDES),
            truncation=_word(request, "truncate", _TRUNCATIONS),
            dimensions=max(0, request.parameters["dimensions"].int64_param)
            if "dimensions" in request.parameters
            else 0,
        )
        reply = await self._embed.Embed(asked, context)
        vectors = np.frombuffer(reply.vectors, "<f4").reshape(reply.count, reply.dimensions)
        return {"embeddings": vectors, "token_count": np.array(reply.token_counts, "<i8")}

    async def _ranked(self, request: pb.ModelInferRequest, context: Any) -> dict[str, NDArray[Any]]:
        CALLER.get().require(Scope.RERANK)
        queries, passages = _texts(request, "query"), _texts(request, "passage")
        if len(set(queries)) != 1:
            raise InvalidArgument("query", f"{len(set(queries))} different ones; a call has one")
        reply = await self._rerank.Rerank(rerank_pb2.RerankRequest(query=queries[0], passages=passages), context)
        return {
            "index": np.array([each.index for each in reply.results], "<i4"),
            "logit": np.array([each.logit for each in reply.results], "<f4"),
        }

    async def _is_embedder(self, name: str, context: Any) -> bool:
        """Whether the name is the embedder's and not the reranker's. Raises NotFound."""
        known = [(await self._embed.known_model(context)).name]
        if _matches(name, known[0]):
            return True
        with suppress(Unavailable):
            known.append((await self._rerank.known_model(context)).name)
        if _matches(name, known[-1]):
            return False
        raise NotFound(f"model_name: {name!r:.200} is not served here; these are: {', '.join(known)}")


def _matches(name: str, known: str) -> bool:
    return name in (known, re.sub(r"[^a-z0-9]", "_", known.lower()))


def _texts(request: pb.ModelInferRequest, name: str) -> Sequence[str]:
    """The strings of an input, from its contents or from raw bytes (4 bytes of length before each)."""
    for place, tensor in enumerate(request.inputs):
        if tensor.name != name:
            continue
        if tensor.datatype != "BYTES":
            raise InvalidArgument(name, f"is {tensor.datatype:.20}, not BYTES")
        given = list(tensor.contents.bytes_contents)
        if request.raw_input_contents:
            if len(request.raw_input_contents) != len(request.inputs):
                raise InvalidArgument("raw_input_contents", "there is not one for each input")
            given = _unpacked(name, request.raw_input_contents[place])
        return _decoded(name, given)
    raise InvalidArgument("inputs", f"{name!r} is missing")


def _unpacked(name: str, raw: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise InvalidArgument(name, "its bytes end in the middle of a length")
        (size,) = struct.unpack_from("<I", raw, at)
        at += 4
        if at + size > len(raw):
            raise InvalidArgument(name, "its bytes end in the middle of a string")
        found.append(raw[at : at + size])
        at += size
    return found


def _decoded(name: str, given: Sequence[bytes]) -> list[str]:
    try:
        return [each.decode() for each in given]
    except UnicodeDecodeError as error:
        raise InvalidArgument(name, "is not UTF-8") from error


def _word(request: pb.ModelInferRequest, name: str, words: dict[str, Any]) -> Any:
    value = request.parameters[name].string_param if name in request.parameters else ""
    if value not in words:
        raise InvalidArgument(name, f"{value!r:.40} is not one of {', '.join(filter(None, words))}")
    return words[value]


def _described(name: str, array: NDArray[Any]) -> pb.ModelInferResponse.InferOutputTensor:
    kind = "FP32" if array.dtype.kind == "f" else f"INT{array.dtype.itemsize * 8}"
    return pb.ModelInferResponse.InferOutputTensor(name=name, datatype=kind, shape=array.shape)


def add_to(server: grpc.aio.Server, servicer: KServeServicer) -> None:
    """Under the protocol's own name, which the generated code does not have (see the proto)."""
    methods = {
        method.name: grpc.unary_unary_rpc_method_handler(
            getattr(servicer, method.name),
            request_deserializer=getattr(pb, method.input_type.name).FromString,
            response_serializer=getattr(pb, method.output_type.name).SerializeToString,
        )
        for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
