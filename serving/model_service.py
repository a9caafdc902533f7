"""A model behind gRPC, as a process: alone, or as several workers that share one Triton."""

from collections.abc import Callable

import grpc

from serving.health import Health
from serving.model_runtime import ModelRuntime
from serving.server import serve
from serving.settings import ModelServiceSettings
from serving.telemetry import start_metrics_server
from serving.workers import run_workers


async def serve_model(
    module: str, service: str, settings: ModelServiceSettings, register: Callable[[grpc.aio.Server, ModelRuntime], None]
) -> None:
    """Serves until SIGTERM. `register` adds the servicer of `service`; `module` is what `python -m` starts."""
    if settings.workers > 1:
        await _share(module, settings)
        return
    health = Health([service])
    runtime = ModelRuntime(settings, health)
    start_metrics_server(settings.metrics)
    try:
        await serve(
            settings,
            lambda server: register(server, runtime),
            [service],
            health,
            started=runtime.start,
        )
    finally:
        await runtime.stop()


async def _share(module: str, settings: ModelServiceSettings) -> None:
    """Loads the model once and lets workers serve it."""
    runtime = ModelRuntime(settings, Health([]))
    try:
        await runtime.start()
        await run_workers(module, settings, {"triton": runtime.triton_address, **settings.worker_changes})
    finally:
        await runtime.stop()
