"""The engine behind the batcher: one model in a tritonserver, over gRPC.

The only module that imports tritonclient (with serving/tritonserver.py, which starts the process).
Foreign errors become ours here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf import json_format, text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from serving import tracing
from serving.batching import Batch, OutOfMemory
from serving.clock import begun
from serving.errors import Internal, SiftlineError, Unavailable
from serving.tls import connection
from siftline.replies import reply_of
from siftline.tls import TLS

OUTPUTS = {"embed": "vectors", "rerank": "logits"}
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A Triton that comes back should be seen at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
# Words of Triton's own messages for a python stub that is gone; the server itself stays "healthy".
_STUB_GONE = ("Stub process", "stub process")


@dataclass(frozen=True, slots=True)
class _Connection:
    channel: grpc.aio.Channel
    stub: service_pb2_grpc.GRPCInferenceServiceStub


def _open(address: str, credentials: grpc.ChannelCredentials | None) -> _Connection:
    if credentials is None:
        channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
    else:
        channel = grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
    return _Connection(channel, service_pb2_grpc.GRPCInferenceServiceStub(channel))


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the runner says of itself, for example engine "onnxruntime+openvino", precision "bf16"."""

    engine: str
    precision: str
    threads: int


class TritonEngine:
    """Runs batches of one model. `timeout` (seconds) bounds one batch: past it the engine counts as gone.

    `tls` for a Triton that speaks TLS. Raises StartupError when its files are wrong. `info` for a backend of Triton's
    that does not say what it is.
    """

    def __init__(
        self,
        address: str,
        model: str,
        output: str,
        timeout: float,
        tls: TLS | None = None,
        info: EngineInfo | None = None,
    ) -> None:
        self._info = info
        self._connection = connection(partial(_open, address), tls, "triton")
        self._model = model
        self._output = output
        self._timeout = timeout

    async def run(self, batch: Batch) -> tuple[NDArray[np.float32], ...]:
        wanted = (self._output, *batch.token_outputs)
        reply = await self._infer(batch, wanted, self._timeout)
        found = {
            output.name: np.frombuffer(content, np.float32).reshape(tuple(output.shape))
            for output, content in zip(reply.outputs, reply.raw_output_contents, strict=True)
        }
        return tuple(found[name] for name in wanted)

    async def describe(self, batch: Batch, timeout: float) -> EngineInfo:
        """A real inference that also tells which engine made it."""
        if self._info is not None:
            await self._infer(batch, (self._output,), timeout)
            return self._info
        reply = await self._infer(batch, ("engine",), timeout)
        facts = json.loads(reply.raw_output_contents[0])
        return EngineInfo(facts["engine"], facts["precision"], facts["threads"])

    async def load(self, config_file: Path, instances: int, parameters: Mapping[str, str]) -> None:
        """Loads the model (or loads it again, with fresh stubs) as config.pbtxt says, with what differs here."""
        config = text_format.Parse(config_file.read_text(), model_config_pb2.ModelConfig())
        config.instance_group[0].count = instances
        for key in config.parameters.keys() & parameters.keys():  # of our runner; other backends have other ones
            config.parameters[key].string_value = parameters[key]
        request = service_pb2.RepositoryModelLoadRequest(model_name=self._model)
        request.parameters["config"].string_param = json_format.MessageToJson(config, preserving_proto_field_name=True)
        await self._call(self._connection.current().stub.RepositoryModelLoad, request, timeout=300.0)

    async def unload(self) -> None:
        request = service_pb2.RepositoryModelUnloadRequest(model_name=self._model)
        await self._call(self._connection.current().stub.RepositoryModelUnload, request, timeout=60.0)

    async def ready(self) -> bool:
        """Whether Triton has the model loaded; says nothing of its stubs."""
        request = service_pb2.ModelReadyRequest(name=self._model)
        reply = await self._call(self._connection.current().stub.ModelReady, request, timeout=5.0)
        return bool(reply.ready)

    async def close(self) -> None:
        for each in self._connection.all():
            await each.channel.close()

    async def _infer(self, batch: Batch, outputs: Sequence[str], timeout: float) -> Any:
        request = service_pb2.ModelInferRequest(model_name=self._model)
        for name, array in batch.arrays.items():
            request.inputs.add(name=name, datatype="INT32", shape=array.shape)
            request.raw_input_contents.append(array.tobytes())
        for name in outputs:
            request.outputs.add(name=name)
        return await self._call(self._connection.current().stub.ModelInfer, request, timeout=timeout)

    async def _call(self, method: Any, request: Any, timeout: float) -> Any:
        try:
            return await reply_of(begun(method, request, timeout=timeout, metadata=tracing.carried()))
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from error


def _translate(error: grpc.aio.AioRpcError) -> SiftlineError | OutOfMemory:
    text = error.details() or ""
    if "OUT_OF_MEMORY" in text:
        return OutOfMemory(text)
    gone = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
    if error.code() in gone or any(word in text for word in _STUB_GONE):
        return Unavailable("the inference engine does not answer", reason="ENGINE_DOWN")
    return Internal(f"the inference engine failed: {text.splitlines()[0] if text else error.code().name}")
