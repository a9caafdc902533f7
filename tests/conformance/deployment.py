"""Exported models behind real services: one tritonserver per precision, one service process per model."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from export.catalogue import CatalogueEntry, Location
from export.exporter import export
from export.freshness import built_from, is_current
from export.graph_writer import PADDED, Wish
from export.source import Source
from serving.tritonserver import TritonPorts, TritonServer
from tests.conformance.cases import Model
from tests.running.model_service import free_port

_REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 120.0
# What this CPU computes in: for another type a service refuses to start.
_FLAGS = set(Path("/proc/cpuinfo").read_text().split())
_NEEDS = {"fp32": set(), "fp16": {"avx512_fp16", "amx_fp16"}, "bf16": {"avx512_bf16", "amx_bf16"}}
PRECISIONS = tuple(precision for precision, flags in _NEEDS.items() if not flags or flags & _FLAGS)


# Kept between runs; whatever has changed since is exported again, by the exporter's own rule.
OUT = _REPOSITORY / "build" / "conformance"
REPOSITORY = OUT / "repository"


@dataclass(frozen=True)
class Served:
    """`address` of a service of a model in a precision; or why the export refused that one, and no service is there."""

    address: str = ""
    refused: str = ""


@cache
def source(model: Model) -> Source:
    """The model's own folder; a model that is not in the kit is made."""
    return Source(model.folder(OUT / "sources"), model.name)


def export_model(model: Model, wish: Wish = PADDED, name: str = "") -> Path:
    """The model's exported folder, made when it is missing or stale, its repository linked into REPOSITORY."""
    made, name = source(model), name or model.name
    family = model.family or None
    if not is_current(OUT / name, built_from(made, entry(model), family)):
        export(made, OUT, entry(model), family, name, wish=wish)
    link, target = REPOSITORY / name, Path("..", name, "repository", name)
    REPOSITORY.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or link.readlink() != target:  # also one that a copied build folder brought
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return OUT / name


def graph_of(folder: Path) -> Path:
    """Of an exported model."""
    return folder / "repository" / folder.name / "1" / "model.onnx"


def entry(model: Model) -> CatalogueEntry | None:
    """What the catalogue would say of it, for a model that must take fewer tokens than it could."""
    if model.max_tokens is None:
        return None
    return CatalogueEntry(
        name=model.name,
        task=model.task,
        summary="of the conformance kit",
        licence="none",
        source=Location(folder=model.name),
        max_tokens=model.max_tokens,
    )


@asynccontextmanager
async def triton(log: Path) -> AsyncIterator[str]:
    """A tritonserver without models; its gRPC address."""
    server = TritonServer(REPOSITORY, TritonPorts(*(free_port() for _ in range(3))), log)
    await server.start()
    try:
        yield server.grpc_address
    finally:
        await server.stop()


@asynccontextmanager
async def service(task: str, folder: Path, triton_address: str, precision: str) -> AsyncIterator[str]:
    """A service of one model on an engine of that precision, ready; its address."""
    address = f"127.0.0.1:{free_port()}"
    flags = {
        "model-dir": str(folder),
        "listen": address,
        "triton": triton_address,
        "precision": precision,
        "instances": "1",
        "batch-tokens": "16384",
        "log-dir": str(OUT / "run"),
    }
    arguments = [part for name, value in flags.items() for part in (f"--{name}", value)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{task}", *arguments, cwd=_REPOSITORY, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            await _wait_until_serving(channel, process)
        yield address
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _wait_until_serving(channel: grpc.aio.Channel, process: asyncio.subprocess.Process) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(START_SECONDS):
        while process.returncode is None:
            try:
                reply = await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=1.0)
            except grpc.aio.AioRpcError:
                continue
            if reply.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(0.05)
    assert process.stderr is not None
    raise AssertionError(f"the service ended: {(await process.stderr.read()).decode()[-500:]}")
