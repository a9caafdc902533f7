"""A model behind gRPC, as a process: alone, or as several workers that share one Triton."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import grpc

from serving import live, logs, served_model, tracing
from serving.errors import StartupError
from serving.health import Health
from serving.model_runtime import ModelRuntime
from serving.rollout import servicer
from serving.rollout.record import Record
from serving.rollout.rollout import Rollout
from serving.rollout.versions import V, Versions
from serving.served_model import TOKENIZER_FILE
from serving.server import serve
from serving.settings import ModelServiceSettings
from serving.telemetry import start_metrics_server
from serving.tokenization import TokenizerPool
from serving.workers import run_workers
from siftline.rollout.v1 import rollout_pb2_grpc


@dataclass(frozen=True)
class ModelService(Generic[V]):
    """What makes a service the one that it is.

    module: what `python -m` starts. name: of its gRPC service. make: one model of it. register: adds the servicer.
    splits: whether two models may share the calls between them during a rollout.
    """

    module: str
    name: str
    make: Callable[[ModelRuntime, TokenizerPool], V]
    register: Callable[[grpc.aio.Server, Versions[V]], None]
    splits: bool


async def serve_model(service: ModelService[V], settings: ModelServiceSettings) -> None:
    """Serves until SIGTERM."""
    if settings.rollout_dir is not None and (settings.workers > 1 or settings.triton):
        raise StartupError("rollout_dir: needs a Triton of the service's own, so one worker and no triton")
    logs.configure(settings.log_format, calls=settings.log_calls)
    if settings.workers > 1:
        await _share(service.module, settings)
    else:
        await _serve(service, settings)


async def _serve(service: ModelService[V], settings: ModelServiceSettings) -> None:
    names = [service.name] if settings.rollout_dir is None else [service.name, servicer.SERVICE]
    health = Health(names)
    file = settings.log_dir / f"rollout-{service.module.rpartition('.')[2]}.json"
    record = Record.read(file, settings.model_dir.resolve())
    versions = Versions(_version(service, _beside(settings, Path(record.current)), health))

    async def load(folder: Path) -> V:
        return await _started(service, _beside(settings, folder))

    rollout = Rollout(versions, record, file, health, load, splits=service.splits)

    def register(server: grpc.aio.Server) -> None:
        service.register(server, versions)
        if settings.rollout_dir is not None:
            folder = settings.rollout_dir.resolve()
            rollout_pb2_grpc.add_RolloutServiceServicer_to_server(servicer.RolloutServicer(rollout, folder), server)

    async def start() -> None:
        await rollout.resume()
        await versions.current.runtime.start()

    tracing.start(service.module.rpartition(".")[2], settings.traces, settings.trace_share)
    live.follow(settings)
    start_metrics_server(settings.metrics)
    try:
        await serve(
            settings,
            register,
            names,
            health,
            started=start,
        )
    finally:
        await rollout.close()
        await versions.current.runtime.stop()


def _beside(settings: ModelServiceSettings, folder: Path) -> ModelServiceSettings:
    """The settings for the model of a folder; for another than the configured one, with ports and logs of its own."""
    if folder == settings.model_dir.resolve():
        return settings
    logs = settings.log_dir / folder.name
    return settings.model_copy(update={"model_dir": folder, "log_dir": logs, "triton_ports": ""})


def _version(service: ModelService[V], settings: ModelServiceSettings, health: Health | None) -> V:
    return service.make(ModelRuntime(settings, health), TokenizerPool(settings.model_dir / TOKENIZER_FILE))


async def _started(service: ModelService[V], settings: ModelServiceSettings) -> V:
    """A model that answers. Its tokenizer is read in a thread: a large one takes a second that callers would wait."""
    await asyncio.to_thread(served_model.load, settings.model_dir)
    tokenizer = await asyncio.to_thread(TokenizerPool, settings.model_dir / TOKENIZER_FILE)
    version = service.make(ModelRuntime(settings, None), tokenizer)
    try:
        await version.runtime.start()
    except BaseException:
        await version.runtime.stop()
        version.close()
        raise
    return version


async def _share(module: str, settings: ModelServiceSettings) -> None:
    """Loads the model once and lets workers serve it."""
    runtime = ModelRuntime(settings, Health([]))
    try:
        await runtime.start()
        await run_workers(module, settings, runtime.worker_changes)
    finally:
        await runtime.stop()
