"""Where the parts of a running stack are: endpoints.json."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from local import redis
from local.ports import HOST
from local.settings import StackSettings

ENDPOINTS_FILE = "endpoints.json"


@dataclass(frozen=True)
class TritonEndpoints:
    grpc: str
    http: str
    metrics: str


@dataclass(frozen=True)
class Endpoints:
    """What endpoints.json holds: host:port for gRPC, URLs for the rest, no passwords."""

    gateway: str
    gateway_http: str
    gateway_metrics: str
    embed: str
    embed_metrics: str
    rerank: str
    rerank_metrics: str
    embed_triton: TritonEndpoints
    rerank_triton: TritonEndpoints
    redis: str


def of(settings: StackSettings) -> Endpoints:
    """The addresses of a stack with these settings."""
    ports = settings.ports
    return Endpoints(
        gateway=address(ports.gateway),
        gateway_http=f"http://{address(ports.gateway_http)}",
        gateway_metrics=_metrics(ports.gateway_metrics),
        embed=address(ports.embed),
        embed_metrics=_metrics(ports.embed_metrics),
        rerank=address(ports.rerank),
        rerank_metrics=_metrics(ports.rerank_metrics),
        embed_triton=_triton(ports.embed_triton_grpc, ports.embed_triton_http, ports.embed_triton_metrics),
        rerank_triton=_triton(ports.rerank_triton_grpc, ports.rerank_triton_http, ports.rerank_triton_metrics),
        redis=redis.without_password(settings.redis_url) or redis.embedded_url(ports.redis),
    )


@contextmanager
def published(settings: StackSettings) -> Iterator[Endpoints]:
    """endpoints.json is there, whole, exactly while the stack is ready."""
    file = settings.run / ENDPOINTS_FILE
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(of(settings)), indent=2) + "\n")
    draft.rename(file)
    try:
        yield of(settings)
    finally:
        file.unlink(missing_ok=True)


def address(port: int) -> str:
    return f"{HOST}:{port}"


def _metrics(port: int) -> str:
    return f"http://{HOST}:{port}/metrics"


def _triton(grpc_port: int, http: int, metrics: int) -> TritonEndpoints:
    return TritonEndpoints(address(grpc_port), f"http://{HOST}:{http}", _metrics(metrics))
