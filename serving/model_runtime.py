"""A model that is being served: its Triton, its engine, its batcher, and the watch that keeps readiness honest."""

import asyncio
import json
import logging
import socket
import time
from functools import cached_property
from pathlib import Path

import numpy as np

from serving import served_model
from serving.batching import Batch, Batcher, BatchLimits, OutOfMemory, Rows
from serving.calibration import Calibration, calibrate, length_edges
from serving.errors import SiftlineError, StartupError, Unavailable
from serving.health import Health
from serving.layouts import layout_of
from serving.model_metrics import MODEL, RECOVERIES
from serving.settings import ModelServiceSettings
from serving.tls import files
from serving.triton import OUTPUTS, EngineInfo, TritonEngine
from serving.tritonserver import HOST, TritonPorts, TritonServer
from serving.turns import turn
from serving.warm_up import warm_up

log = logging.getLogger(__name__)

# Readiness means that an inference has succeeded lately. When none was asked for, the watch makes one.
FRESH_SECONDS = 5.0
WATCH_SECONDS = 0.5
CANARY_TIMEOUT = 5.0
CANARY_TOKENS = 8


class ModelRuntime:
    """Owns everything between a service's tokens and its numbers. Start and stop in one event loop.

    `health` is told whether it serves; None for a model that stands beside the one that the service answers with.
    """

    def __init__(self, settings: ModelServiceSettings, health: Health | None) -> None:
        self._settings = settings
        self._health = health
        self._serving = False
        self.model = _read_model(settings.model_dir)
        self._precisions = _precisions(self.model, settings)
        self._server = self._make_server()
        address = self._server.grpc_address if self._server else settings.triton
        output = OUTPUTS[self.model.task]
        tls = files("triton", settings.triton_tls_ca, settings.triton_tls_cert, settings.triton_tls_key)
        info = _info_of(self.model)
        self._engine = TritonEngine(address, self.model.name, output, settings.engine_timeout, tls, info)
        self._instances = settings.engine_instances(on_gpu=self.model.for_gpu)
        self._edges = length_edges(self.model.max_tokens)
        self._layout = layout_of(self.model, self._edges)
        self._watcher: asyncio.Task[None] | None = None
        self.triton_address = address
        self._loaded_in: int | None = None  # the process of our Triton that has the model
        self._cold = False  # loaded from here, and nothing large computed yet
        self._info: EngineInfo | None = None
        self._batcher: Batcher | None = None

    @property
    def info(self) -> EngineInfo:
        if self._info is None:
            raise self._loading()
        return self._info

    @property
    def batcher(self) -> Batcher:
        if self._batcher is None:
            raise self._loading()
        return self._batcher

    def _loading(self) -> Unavailable:
        return Unavailable(f"{self.model.name} is still being loaded", reason="NOT_READY")

    @property
    def precision(self) -> str:
        """What the model's products are computed in: the graph's own quantisation, else what the engine chose."""
        return self.model.quantization or self.info.precision

    @cached_property
    def fingerprint(self) -> str:
        return self.model.fingerprint(self.precision)

    @property
    def worker_changes(self) -> dict[str, object]:
        """In what a worker's settings differ: workers share the engine."""
        in_flight = -(-self._settings.batches_in_flight(self._instances) // self._settings.workers)
        return {"triton": self.triton_address, "in_flight": in_flight, "instances": self._instances}

    async def start(self) -> None:
        """Starts Triton if it is ours, loads the model, computes the largest batches. Then the service is ready."""
        try:
            if self._server is not None:
                await self._server.start()
            await self._load()
            self._info = await self._engine.describe(self._canary(), self._settings.engine_timeout)
            limits = self._limits(await self._calibrate())
            await self._warm_up(limits)
        except (SiftlineError, OutOfMemory) as error:
            raise StartupError(f"{self.model.name}: {error}") from error
        self._batcher = Batcher(self._engine, self._layout, limits, time.monotonic)
        self._watcher = asyncio.create_task(self._watch(), name="readiness")
        MODEL.labels(self.model.name, self.fingerprint, self.info.engine, self.info.precision).set(1)
        await self._show(serving=True)
        log.info(
            "%s ready: %s, %s, fingerprint %s", self.model.name, self.info.engine, self.info.precision, self.fingerprint
        )

    async def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        if self._batcher is not None:
            await self._batcher.close()
        await self._engine.close()
        if self._server is not None:
            await self._server.stop()

    def forget(self) -> None:
        """Takes the model out of the metrics, when the process goes on without it."""
        MODEL.remove(self.model.name, self.fingerprint, self.info.engine, self.info.precision)

    async def report_to(self, health: Health | None) -> None:
        """Whom to tell from now on."""
        self._health = health
        await self._show(serving=self._serving)

    async def _show(self, *, serving: bool) -> None:
        self._serving = serving
        if self._health is not None:
            await self._health.set_serving(serving)

    def _make_server(self) -> TritonServer | None:
        settings = self._settings
        if settings.triton:
            return None
        ports = settings.triton_ports.split(",") if settings.triton_ports else _free_ports(3)
        repository = settings.model_dir.resolve() / "repository"
        log_file = settings.log_dir.resolve() / f"triton-{self.model.task}.log"
        return TritonServer(repository, TritonPorts(*map(int, ports)), log_file, collector=settings.traces)

    async def _load(self) -> None:
        settings = self._settings
        if not await self._engine.ready():
            config = settings.model_dir / "repository" / self.model.name / "config.pbtxt"
            parameters = {
                "precision": self._precisions,
                "threads": str(settings.threads),
                "gpu_memory": str(settings.gpu_memory),
            }
            await self._engine.load(config, self._instances, parameters)
            self._cold = True
        self._loaded_in = self._server.pid if self._server else None

    async def _load_afresh(self) -> None:
        """Into a Triton of our own that has not failed yet: started again, because one whose stub died keeps the others
        for ever. Into someone else's: unloaded first, because asked for what it has it keeps the stubs that it has.
        """
        if self._server is None:
            await self._load_again()
            return
        if self._server.pid == self._loaded_in:
            await self._server.restart()
        await self._load()

    async def _load_again(self) -> None:
        """Of several workers that notice at once, the first does it for all."""
        noticed = time.time()
        async with turn(self._settings.log_dir / f"triton-{self.model.task}.lock") as last:
            if last >= noticed:
                return
            if await self._engine.ready():
                await self._engine.unload()
            await self._load()

    async def _calibrate(self) -> Calibration:
        settings = self._settings
        if settings.batch_tokens:
            return Calibration(settings.batch_tokens, seconds_per_token=1e-4)
        key = f"{self.info.engine}-{self.info.precision}-{self.info.threads}"
        return await calibrate(self._engine, self._layout, self.model.max_tokens, settings.model_dir, key)

    def _limits(self, calibration: Calibration) -> BatchLimits:
        settings = self._settings
        return BatchLimits(
            edges=self._edges,
            batch_tokens=calibration.batch_tokens,
            in_flight=settings.batches_in_flight(self._instances),
            instances=self._instances,
            queue_tokens=settings.queue_tokens,
            seconds_per_token=calibration.seconds_per_token,
        )

    async def _warm_up(self, limits: BatchLimits) -> None:
        """By whoever has loaded the model, for all that share it."""
        if self._cold:
            await warm_up(self._engine, self._layout, limits)
            self._cold = False

    def _canary(self) -> Batch:
        length = min(CANARY_TOKENS, self.model.max_tokens)
        ids = np.full(length, self.model.pad_token_id + 1, np.int32)
        rows = Rows(ids, np.array([length], np.int32))
        return self._layout.batch([rows])

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self.batcher.suspended:
                await self._recover()
            elif time.monotonic() - self.batcher.last_success > FRESH_SECONDS:
                await self._check()

    async def _check(self) -> None:
        """One real inference; what it says is what readiness says."""
        try:
            await self._engine.describe(self._canary(), CANARY_TIMEOUT)
            self.batcher.succeeded()
        except (SiftlineError, OutOfMemory) as error:
            self.batcher.suspend(f"the inference engine does not answer: {error}")

    async def _recover(self) -> None:
        """Loads the model afresh and computes with it, as at the start. Triton stays "healthy" with a dead stub, and a
        canary may meet a live one beside it, so nothing less than fresh stubs will do. While a Triton of ours starts
        this fails, and is tried again.
        """
        await self._show(serving=False)
        try:
            await self._load_afresh()
            await self._engine.describe(self._canary(), CANARY_TIMEOUT)
            await self._warm_up(self.batcher.limits)
        except (SiftlineError, OutOfMemory) as error:
            log.warning("%s is not back yet: %s", self.model.name, error)
        else:
            self.batcher.succeeded()
            self.batcher.resume()
            RECOVERIES.inc()
            await self._show(serving=True)
            log.info("%s is back", self.model.name)


def _read_model(folder: Path) -> served_model.ServedModel:
    try:
        return served_model.load(folder)
    except FileNotFoundError as error:
        raise StartupError(f"model_dir {folder}: no exported model there (siftline export makes one)") from error
    except (ValueError, json.JSONDecodeError) as error:
        raise StartupError(f"model_dir {folder}: {served_model.MODEL_FILE} is not of this version") from error


def _precisions(model: served_model.ServedModel, settings: ModelServiceSettings) -> str:
    """What the engine is to choose from, as the runner wants it."""
    wish = settings.precision
    if wish == "auto":
        return ",".join(model.precisions)
    if wish in model.refused:
        raise StartupError(
            f"precision {wish}: refused when {model.name} was exported ({model.refused[wish]}); auto takes "
            f"{model.precisions[0]}; to serve {wish} all the same, export it with --precision {wish} --accept"
        )
    return wish


def _info_of(model: served_model.ServedModel) -> EngineInfo | None:
    """Our runner says it itself; of Triton's other backends it is known."""
    if model.backend == "python":
        return None
    precision = model.tensorrt_precision if model.engine == "tensorrt" else model.precision
    return EngineInfo(f"triton+{model.backend}", precision, threads=0)


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
