"""The whole of siftline on one machine: Redis, both services with their tritonservers, and the gateway."""

import fcntl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from local import endpoints, ports, probes, redis
from local.endpoints import Endpoints, address
from local.ports import HOST
from local.settings import StackSettings
from serving.errors import FailedPrecondition
from serving.supervisor import Program, Supervisor

# A large append-only file is read before the server answers; a model may be compiled and measured at its first start.
REDIS_SECONDS, SERVICE_SECONDS, GATEWAY_SECONDS = 300.0, 600.0, 120.0
GRACE_SECONDS = 40.0


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
            with endpoints.published(settings) as published:
                yield published
        finally:
            await supervisor.stop()


def _redis(settings: StackSettings) -> Program:
    port = settings.ports.redis
    return Program(
        name="redis",
        command=redis.embedded_command(port, settings.state / "redis"),
        environment=redis.ALLOCATOR,
        log=settings.run / "redis.log",
        check=lambda: redis.check(redis.embedded_url(port)),
        alive=lambda: redis.alive(redis.embedded_url(port)),
        ready_seconds=REDIS_SECONDS,
        grace_seconds=GRACE_SECONDS,
    )


def _service(name: str, settings: StackSettings) -> Program:
    own = asdict(settings.ports)
    triton = ",".join(str(own[f"{name}_triton_{kind}"]) for kind in ("grpc", "http", "metrics"))
    model = {"embed": settings.embed_model, "rerank": settings.rerank_model}[name]
    flags = {
        "model-dir": model,
        "rollout-dir": model.parent,
        "listen": address(own[name]),
        "metrics": address(own[f"{name}_metrics"]),
        "triton-ports": triton,
        "log-dir": settings.run,
    }
    return _module(name, f"services.{name}", flags, settings, SERVICE_SECONDS)


def _gateway(settings: StackSettings) -> Program:
    addresses = endpoints.of(settings)
    flags = {
        "listen": addresses.gateway,
        "http": address(settings.ports.gateway_http),
        "metrics": address(settings.ports.gateway_metrics),
        "embed": addresses.embed,
        "rerank": addresses.rerank,
        "recall-weight": settings.recall_weight,
    }
    # Not as flags: everybody on the machine may read those, and a URL may hold a password.
    url = settings.redis_url or redis.embedded_url(settings.ports.redis)
    program = _module("gateway", "gateway", flags, settings, GATEWAY_SECONDS)
    urls = {"SIFTLINE_GATEWAY_CACHE_URL": url, "SIFTLINE_GATEWAY_INDEX_URL": url}
    return replace(program, environment={**program.environment, **urls})


def _module(
    name: str, module: str, flags: Mapping[str, object], settings: StackSettings, ready_seconds: float
) -> Program:
    return Program(
        name=name,
        command=(sys.executable, "-m", module, *(f"--{flag}={value}" for flag, value in flags.items())),
        log=settings.run / f"{name}.log",
        check=probes.serving(str(flags["listen"])),
        alive=probes.alive(str(flags["listen"])),
        ready_seconds=ready_seconds,
        grace_seconds=GRACE_SECONDS,
        # http_proxy of the environment is not meant for this machine.
        environment={"no_grpc_proxy": HOST},
    )


def _require_ports(settings: StackSettings) -> None:
    ports.require_free(settings.ports, without="redis" if settings.redis_url else "")


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Held while a stack runs here; the kernel lets go of it when the process ends, however it ends."""
    with file.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FailedPrecondition(f"another siftline runs in {file.parent.parent}") from error
        yield
