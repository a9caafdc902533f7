"""A real tritonserver whose gRPC endpoint asks for certificates: the engine computes through it."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import trustme

from serving import triton_installation
from serving.batching import Rows
from serving.errors import Unavailable
from serving.layouts import layout_of
from serving.served_model import load
from serving.triton import EngineInfo, TritonEngine
from siftline.tls import TLS
from tests.running import certificates
from tests.running.certificates import Files
from tests.running.model_service import free_port

MODEL = "all-minilm-l6-v2"
START_SECONDS = 60.0


@pytest.fixture(name="triton")
async def _triton(default_models: Path, files: Files, tmp_path: Path) -> AsyncIterator[str]:
    """Address of a tritonserver with mutual TLS, empty of models."""
    installation, port = triton_installation.find(), free_port()
    settings = {
        "model-repository": default_models.resolve() / MODEL / "repository",
        "backend-directory": installation.link_backends(tmp_path / "backends"),
        "model-control-mode": "explicit",
        "grpc-port": port,
        "http-port": free_port(),
        "metrics-port": free_port(),
        "grpc-use-ssl-mutual": "true",
        "grpc-server-cert": files.cert,
        "grpc-server-key": files.key,
        "grpc-root-cert": files.ca,
        "exit-timeout-secs": 3,
    }
    command = (str(installation.executable), *(f"--{name}={value}" for name, value in settings.items()))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=installation.environment(), stdout=log, stderr=log)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(30)


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Files:
    return certificates.files(tmp_path / "files", trustme.CA())


async def ready_at_last(engine: TritonEngine) -> bool:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                return await engine.ready()
            except Unavailable:
                await asyncio.sleep(0.1)


async def a_backend_that_does_not_say_what_it_is(triton: str, files: Files, model: Path) -> None:
    """Is asked for vectors only, and known beforehand."""
    info = EngineInfo("triton+onnxruntime", "fp32", 0)
    engine = TritonEngine(triton, MODEL, "vectors", 60.0, files.tls, info)
    batch = layout_of(load(model)).batch([Rows(np.ones(4, np.int32), np.array([4], np.int32))])
    assert await engine.describe(batch, 60.0) == info
    await engine.close()


async def test_a_triton_with_mutual_tls_computes_for_who_shows_a_certificate(
    triton: str, files: Files, default_models: Path
) -> None:
    engine = TritonEngine(triton, MODEL, "vectors", 60.0, files.tls)
    assert not await ready_at_last(engine)
    config = default_models / MODEL / "repository" / MODEL / "config.pbtxt"
    await engine.load(config, 1, {"precision": "fp32", "threads": "1"})
    assert await engine.ready()
    await engine.close()
    await a_backend_that_does_not_say_what_it_is(triton, files, default_models / MODEL)
    for tls in (None, TLS(files.ca)):
        refused = TritonEngine(triton, MODEL, "vectors", 60.0, tls)
        with pytest.raises(Unavailable):
            await refused.ready()
        await refused.close()
