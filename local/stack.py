"""The whole of siftline on one machine: Redis, both services with their tritonservers, and the gateway."""

import fcntl
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local import ports as port_plan
from local import redis
from local.ports import HOST, Ports
from serving.errors import FailedPrecondition, Unavailable
from serving.supervisor import Program, Supervisor

ENDPOINTS_FILE = "endpoints.json"
# A large append-only file is read before the server answers; a model may be compiled and measured at its first start.
REDIS_SECONDS, SERVICE_SECONDS, GATEWAY_SECONDS = 300.0, 600.0, 120.0
GRACE_SECONDS = 40.0
CHECK_SECONDS = 2.0


@dataclass(frozen=True)
class StackSettings:
    embed_model: Path
    rerank_model: Path
    ports: Ports
    # Holds run/ (logs, endpoints.json) and redis/ (the index). One stack at a time.
    state: Path
    # Empty for the embedded server.
    redis_url: str = ""

    @property
    def run(self) -> Path:
        return self.state / "run"


@dataclass(frozen=True)
class TritonEndpoints:
    grpc: str
    http: str
    metrics: str


@dataclass(frozen=True)
class Endpoints:
    """What endpoints.json holds: host:port for gRPC, URLs for the rest."""

    gateway: str
    gateway_metrics: str
    embed: str
    embed_metrics: str
    rerank: str
    rerank_metrics: str
    embed_triton: TritonEndpoints
    rerank_triton: TritonEndpoints
    redis: str


@asynccontextmanager
async def running(settings: StackSettings) -> AsyncIterator[Endpoints]:
    """The stack, ready; stopped without remains on leaving, also when a part failed to start.

    Raises: Unavailable in one line for what cannot start, FailedPrecondition when a stack runs in `state` already.
    """
    settings.run.mkdir(parents=True, exist_ok=True)
    with _lock(settings.run / "lock"):
        _require_ports(settings)
        supervisor = Supervisor()
        try:
            if settings.redis_url:
                await redis.check(settings.redis_url)
            else:
                await supervisor.start(_redis(settings))
            await supervisor.start(_service("embed", settings), _service("rerank", settings))
            await supervisor.start(_gateway(settings))
            with _published(settings) as endpoints:
                yield endpoints
        finally:
            await supervisor.stop()


def endpoints(settings: StackSettings) -> Endpoints:
    """The addresses of a stack with these settings."""
    ports = settings.ports
    return Endpoints(
        gateway=_address(ports.gateway),
        gateway_metrics=_metrics(ports.gateway_metrics),
        embed=_address(ports.embed),
        embed_metrics=_metrics(ports.embed_metrics),
        rerank=_address(ports.rerank),
        rerank_metrics=_metrics(ports.rerank_metrics),
        embed_triton=_triton(ports.embed_triton_grpc, ports.embed_triton_http, ports.embed_triton_metrics),
        rerank_triton=_triton(ports.rerank_triton_grpc, ports.rerank_triton_http, ports.rerank_triton_metrics),
        redis=settings.redis_url or redis.embedded_url(ports.redis),
    )


def _redis(settings: StackSettings) -> Program:
    port = settings.ports.redis
    return Program(
        name="redis",
        command=redis.embedded_command(port, settings.state / "redis"),
        log=settings.run / "redis.log",
        check=lambda: redis.check(redis.embedded_url(port)),
        ready_seconds=REDIS_SECONDS,
        grace_seconds=GRACE_SECONDS,
    )


def _service(name: str, settings: StackSettings) -> Program:
    ports = asdict(settings.ports)
    triton = ",".join(str(ports[f"{name}_triton_{kind}"]) for kind in ("grpc", "http", "metrics"))
    flags = {
        "model-dir": {"embed": settings.embed_model, "rerank": settings.rerank_model}[name],
        "listen": _address(ports[name]),
        "metrics": _address(ports[f"{name}_metrics"]),
        "triton-ports": triton,
        "log-dir": settings.run,
    }
    return _module(name, f"services.{name}", flags, settings, SERVICE_SECONDS)


def _gateway(settings: StackSettings) -> Program:
    addresses = endpoints(settings)
    flags = {
        "listen": addresses.gateway,
        "metrics": _address(settings.ports.gateway_metrics),
        "embed": addresses.embed,
        "rerank": addresses.rerank,
        "cache-url": addresses.redis,
        "index-url": addresses.redis,
    }
    return _module("gateway", "gateway", flags, settings, GATEWAY_SECONDS)


def _module(
    name: str, module: str, flags: Mapping[str, object], settings: StackSettings, ready_seconds: float
) -> Program:
    return Program(
        name=name,
        command=(sys.executable, "-m", module, *(f"--{flag}={value}" for flag, value in flags.items())),
        log=settings.run / f"{name}.log",
        check=_serving(str(flags["listen"])),
        ready_seconds=ready_seconds,
        grace_seconds=GRACE_SECONDS,
    )


def _serving(address: str) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        # A channel of its own each time: one that was refused waits longer and longer before it tries again.
        async with grpc.aio.insecure_channel(address) as channel:
            try:
                reply = await health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=CHECK_SECONDS
                )
            except grpc.aio.AioRpcError as error:
                raise Unavailable(f"{address} does not answer: {error.details()}") from error
        if reply.status != health_pb2.HealthCheckResponse.SERVING:
            raise Unavailable(f"{address} is not serving yet")

    return check


def _require_ports(settings: StackSettings) -> None:
    port_plan.require_free(settings.ports, without="redis" if settings.redis_url else "")


@contextmanager
def _published(settings: StackSettings) -> Iterator[Endpoints]:
    """endpoints.json is there, whole, exactly while the stack is ready."""
    file = settings.run / ENDPOINTS_FILE
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(endpoints(settings)), indent=2) + "\n")
    draft.rename(file)
    try:
        yield endpoints(settings)
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Held while a stack runs here; the kernel lets go of it when the process ends, however it ends."""
    with file.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FailedPrecondition(f"another siftline runs in {file.parent.parent}") from error
        yield


def _address(port: int) -> str:
    return f"{HOST}:{port}"


def _metrics(port: int) -> str:
    return f"http://{HOST}:{port}/metrics"


def _triton(grpc_port: int, http: int, metrics: int) -> TritonEndpoints:
    return TritonEndpoints(_address(grpc_port), f"http://{HOST}:{http}", _metrics(metrics))
