"""A real tritonserver with a trivial Python model: what it does when things die."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient

from serving.errors import Unavailable
from serving.tritonserver import SHARED_MEMORY, TritonPorts, TritonServer
from tests.running.model_service import free_port

CONFIG = """
name: "echo"
backend: "python"
max_batch_size: 0
input [{ name: "x" data_type: TYPE_INT32 dims: [-1] }]
output [{ name: "y" data_type: TYPE_INT32 dims: [-1] }]
instance_group [{ kind: KIND_CPU count: 1 }]
"""

# Doubles its input; the imports are those of the real runner, from the environment that runs the tests.
MODEL = """
import sys
import numpy, onnxruntime
import triton_python_backend_utils as utils

class TritonPythonModel:
    def initialize(self, args):
        print("prefix", sys.prefix, flush=True)

    def execute(self, requests):
        inputs = [utils.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [utils.InferenceResponse([utils.Tensor("y", 2 * x)]) for x in inputs]
"""


@pytest.fixture(name="repository")
def _repository(tmp_path: Path) -> Path:
    version = tmp_path / "repository" / "echo" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(MODEL)
    (version.parent / "config.pbtxt").write_text(CONFIG)
    return tmp_path / "repository"


@pytest.fixture(name="server")
async def _server(repository: Path, tmp_path: Path) -> AsyncIterator[TritonServer]:
    server = TritonServer(repository, free_ports(), tmp_path / "triton.log")
    try:
        yield server
    finally:
        await server.stop()


def free_ports() -> TritonPorts:
    return TritonPorts(*(free_port() for _ in range(3)))


async def load(server: TritonServer) -> None:
    async with InferenceServerClient(server.grpc_address) as client:
        await client.load_model("echo")


async def double(server: TritonServer, values: list[int]) -> list[int]:
    tensor = InferInput("x", [len(values)], "INT32")
    tensor.set_data_from_numpy(np.array(values, np.int32))
    async with InferenceServerClient(server.grpc_address) as client:
        result = await client.infer("echo", [tensor])
        return [int(value) for value in result.as_numpy("y")]


def group(pid: int | None) -> list[int]:
    """Processes, zombies left out, of the group that `pid` leads."""
    members = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, leader = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(leader) == pid and state != "Z":
            members.append(int(folder.name))
    return members


async def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


def segments(server: TritonServer) -> list[Path]:
    return list(SHARED_MEMORY.glob(f"{server._shared_memory_prefix}*"))


async def test_a_python_model_computes_in_the_environment_of_the_caller(server: TritonServer, tmp_path: Path) -> None:
    await server.start()
    await load(server)
    assert await double(server, [1, 2, 3]) == [2, 4, 6]
    assert f"prefix {sys.prefix}" in (tmp_path / "triton.log").read_text()


async def test_it_listens_on_loopback_only(repository: Path, tmp_path: Path) -> None:
    ports = free_ports()
    server = TritonServer(repository, ports, tmp_path / "triton.log")
    await server.start()
    try:
        for port in (ports.grpc, ports.http, ports.metrics):
            socket.create_connection(("127.0.0.1", port)).close()
            # A listener on every address would answer here too.
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.2", port))
    finally:
        await server.stop()


async def test_stop_leaves_no_process_and_no_shared_memory(server: TritonServer) -> None:
    await server.start()
    await load(server)
    leader = server.pid
    assert len(group(leader)) == 2
    assert segments(server)
    await server.stop()
    assert group(leader) == []
    assert segments(server) == []
    assert not server.running


async def test_killed_server_comes_back_and_on_restart_is_awaited(repository: Path, tmp_path: Path) -> None:
    restarted = asyncio.Event()

    async def reload() -> None:
        await load(server)
        restarted.set()

    server = TritonServer(repository, free_ports(), tmp_path / "triton.log", reload)
    await server.start()
    try:
        await load(server)
        first = server.pid
        os.kill(first or 0, signal.SIGKILL)
        await asyncio.wait_for(restarted.wait(), 60)
        assert await double(server, [21]) == [42]
        assert group(first) == []
    finally:
        await server.stop()


async def test_server_whose_model_cannot_be_loaded_again_is_started_again(repository: Path, tmp_path: Path) -> None:
    attempts = []
    loaded = asyncio.Event()

    async def reload() -> None:
        attempts.append(server.pid)
        if len(attempts) == 1:
            raise RuntimeError("the first attempt fails")
        await load(server)
        loaded.set()

    server = TritonServer(repository, free_ports(), tmp_path / "triton.log", reload)
    await server.start()
    try:
        await server.restart()
        await asyncio.wait_for(loaded.wait(), 60)
        assert len(set(attempts)) == 2
    finally:
        await server.stop()


PARENT = """
import asyncio, json, sys
from pathlib import Path
from serving.tritonserver import TritonPorts, TritonServer
from tritonclient.grpc.aio import InferenceServerClient

async def main(repository, log, ports):
    server = TritonServer(Path(repository), TritonPorts(*ports), Path(log))
    await server.start()
    async with InferenceServerClient(server.grpc_address) as client:
        await client.load_model("echo")
    print(server.pid, server._shared_memory_prefix, flush=True)
    await asyncio.sleep(600)

asyncio.run(main(*json.loads(sys.argv[1])))
"""


async def test_killed_parent_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    ports = free_ports()
    arguments = json.dumps([str(repository), str(tmp_path / "log"), [ports.grpc, ports.http, ports.metrics]])
    with subprocess.Popen((sys.executable, "-c", PARENT, arguments), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        leader, prefix = parent.stdout.readline().split()
        assert len(group(int(leader))) == 2
        parent.kill()
    await eventually(lambda: group(int(leader)) == [])
    await eventually(lambda: list(SHARED_MEMORY.glob(f"{prefix}*")) == [])


async def test_port_in_use_is_named_in_one_line(repository: Path, tmp_path: Path) -> None:
    ports = free_ports()
    with socket.create_server(("127.0.0.1", ports.http)):
        server = TritonServer(repository, ports, tmp_path / "log")
        with pytest.raises(Unavailable, match=rf"^port {ports.http} for Triton's HTTP .*in use$"):
            await server.start()
    assert not server.running


async def test_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = TritonServer(tmp_path / "absent", free_ports(), tmp_path / "log")
    with pytest.raises(Unavailable, match=re.compile("status 1: .*absent")) as caught:
        await server.start()
    assert "\n" not in str(caught.value)
    assert not server.running
