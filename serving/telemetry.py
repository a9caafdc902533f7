"""Prometheus: the metrics of every gRPC server, and the endpoint that shows all metrics of a process.

Series are registered at start, so that a dashboard sees zeros and not nothing. With several workers
(PROMETHEUS_MULTIPROC_DIR set by serving/workers.py) the endpoint shows the sum over them.
"""

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    start_http_server,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from serving import clock, logs, tracing
from serving.errors import StartupError
from serving.interception import UnaryReplyInterceptor, behaviour_of, rewrap

disable_created_metrics()  # type: ignore[no-untyped-call]

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_TASKS_EVERY_S = 5.0

REQUESTS = Counter("siftline_grpc_requests_total", "gRPC calls answered, by method and status code", ["method", "code"])
REQUEST_SECONDS = Histogram(
    "siftline_grpc_request_seconds", "Time from a call's arrival to its answer, by method", ["method"], buckets=SECONDS
)
TASKS = Gauge(
    "siftline_tasks", "asyncio tasks that have not ended, counted every few seconds", multiprocess_mode="livesum"
)
READY = Gauge("siftline_ready", "1 while the health service says SERVING", multiprocess_mode="livemin")
TLS_EXPIRES = Gauge(
    "siftline_tls_expiry_timestamp_seconds",
    "Unix time at which a certificate that the process shows to callers (server) or to a part ends; +Inf without",
    ["use"],
    multiprocess_mode="livemin",
)
for _use in ("server", "services", "triton"):
    TLS_EXPIRES.labels(_use).set(float("inf"))


def start_metrics_server(address: str) -> None:
    """Serves /metrics on `address` (HOST:PORT) from a thread. An empty address serves nothing."""
    if not address:
        return
    host, _, port = address.rpartition(":")
    try:
        start_http_server(int(port), host, registry=_registry())
    except OSError as error:
        raise StartupError(f"metrics address {address}: {error.strerror or error}") from error


def exposition() -> bytes:
    """What /metrics shows, in Prometheus' text format."""
    return generate_latest(_registry())


def _registry() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(_Workers(registry=None))  # type: ignore[no-untyped-call]
    return registry


class _Workers(MultiProcessCollector):
    """The sum over the workers; what "live" gauges of dead ones last said does not count."""

    def collect(self) -> Iterable[Metric]:
        for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("gauge_live*_*.db"):
            if not Path(f"/proc/{file.stem.rpartition('_')[2]}").exists():
                file.unlink(missing_ok=True)
        return super().collect()  # type: ignore[no-any-return, no-untyped-call]


def count_tasks() -> None:
    """Of the running event loop, from now on."""
    TASKS.set(len(asyncio.all_tasks()))
    asyncio.get_running_loop().call_later(_TASKS_EVERY_S, count_tasks)


def declare_methods(full_names: Iterable[str]) -> None:
    """Registers the series of `/package.Service/Method` names."""
    for name in full_names:
        REQUESTS.labels(name, grpc.StatusCode.OK.name)
        REQUEST_SECONDS.labels(name)


class RequestMetrics(UnaryReplyInterceptor):
    """Counts and times calls. Outside of all that may refuse one: it sees the final status code."""

    def wrap(self, method: str, handler: Any) -> Any:
        inner = behaviour_of(handler)
        seconds, answered = REQUEST_SECONDS.labels(method), REQUESTS.labels(method, grpc.StatusCode.OK.name)

        async def timed(request: Any, context: grpc.aio.ServicerContext) -> Any:
            started, given_up = time.perf_counter(), False
            try:
                return await inner(request, context)
            except asyncio.CancelledError:  # the context does not know yet
                given_up = True
                raise
            finally:
                took = time.perf_counter() - started
                seconds.observe(took, tracing.exemplar())
                given_up = given_up or context.cancelled()
                code = _given_up(clock.left(context), took) if given_up else _code_name(context)
                logs.answered(method, code, took)
                tracing.tell({"rpc.grpc.status_code": grpc.StatusCode[code].value[0]})
                (answered if code == grpc.StatusCode.OK.name else REQUESTS.labels(method, code)).inc()

        return rewrap(handler, timed)


def _given_up(left: float | None, took: float) -> str:
    """Code of a call that gRPC cancelled: its caller went away, or had no time left, by a clock that is ahead of ours
    by the way here."""
    late = left is not None and left < 0.1 * took
    return str((grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED).name)


def _code_name(context: grpc.aio.ServicerContext) -> str:
    code = context.code()
    if isinstance(code, int):
        code = next((known for known in grpc.StatusCode if known.value[0] == code), grpc.StatusCode.UNKNOWN)
    return str((code or grpc.StatusCode.OK).name)
