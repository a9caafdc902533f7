"""The afternoon model behind a tritonserver, asked over gRPC with Triton's own stubs."""

import shutil
from pathlib import Path

import grpc
import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from benchmarks.ours import UNLIMITED
from benchmarks.processes import RUN, free_ports, tree_cpu_seconds
from benchmarks.systems import Answer, Served
from benchmarks.workloads import Request
from serving import served_model
from serving.tritonserver import TritonPorts, TritonServer

NAME = "afternoon"
LARGEST_BATCH = 64


class AfternoonTriton(Served):
    """Same graph, tokenizer and engine settings as siftline serves; only who batches is different."""

    name = "triton-python-backend"

    def __init__(self, model: Path, instances: int = 2) -> None:
        self._repository = RUN / NAME / "repository"
        _write(self._repository / NAME, model, instances)
        ports = TritonPorts(*free_ports(3))
        self._server = TritonServer(self._repository, ports, RUN / NAME / "triton.log")

    async def start(self) -> None:
        await self._server.start()
        self._channel = grpc.aio.insecure_channel(self._server.grpc_address, options=UNLIMITED)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        await self._stub.RepositoryModelLoad(service_pb2.RepositoryModelLoadRequest(model_name=NAME), timeout=120)

    async def stop(self) -> None:
        await self._channel.close()
        await self._server.stop()

    async def call(self, request: Request) -> Answer:
        texts = [text.encode() for text in request.texts]
        message = service_pb2.ModelInferRequest(model_name=NAME)
        message.inputs.add(name="TEXT", datatype="BYTES", shape=(len(texts), 1))
        message.raw_input_contents.append(b"".join(len(text).to_bytes(4, "little") + text for text in texts))
        reply = await self._stub.ModelInfer(message)
        return np.frombuffer(reply.raw_output_contents[0], np.float32).reshape(tuple(reply.outputs[0].shape))

    def cpu_seconds(self) -> dict[str, float]:
        return tree_cpu_seconds(self._server.pid or 0, "triton")


def _write(folder: Path, model: Path, instances: int) -> None:
    """The model repository: this peer's model.py beside the exported graph."""
    shutil.rmtree(folder, ignore_errors=True)
    version = folder / "1"
    version.mkdir(parents=True)
    facts = served_model.load(model)
    exported = (model / "repository" / facts.name / "1").resolve()
    for file in exported.iterdir():
        if file.name.startswith("model.onnx"):
            (version / file.name).symlink_to(file)
    shutil.copy(exported / "model.py", version / "runner.py")
    shutil.copy(Path(__file__).with_name("model.py"), version / "model.py")
    shutil.copy(model / served_model.TOKENIZER_FILE, version / "tokenizer.json")
    (version / "max_tokens").write_text(str(facts.max_tokens))
    (folder / "config.pbtxt").write_text(text_format.MessageToString(_config(facts.dimensions, instances)))


def _config(dimensions: int, instances: int) -> model_config_pb2.ModelConfig:
    config = model_config_pb2.ModelConfig(name=NAME, backend="python", max_batch_size=LARGEST_BATCH)
    config.input.add(name="TEXT", data_type=model_config_pb2.TYPE_STRING, dims=[1])
    config.output.add(name="VECTOR", data_type=model_config_pb2.TYPE_FP32, dims=[dimensions])
    config.instance_group.add(count=instances, kind=model_config_pb2.ModelInstanceGroup.KIND_CPU)
    config.dynamic_batching.SetInParent()
    return config
