"""A gRPC server as every deployable runs it: errors translated, health, reflection, drain on SIGTERM."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection
from pydantic import ValidationError

from serving import logs
from serving.decoding import decoded, lenient
from serving.errors import Internal, Overloaded, SiftlineError, StartupError, to_status
from serving.health import Health
from serving.incoming import Incoming
from serving.interception import UnaryReplyInterceptor, behaviour_of, rewrap
from serving.settings import ServerSettings
from serving.telemetry import RequestMetrics, count_tasks, declare_methods
from serving.tls import server_credentials

log = logging.getLogger(__name__)

# A client looks its server's name up again when a connection ends. So that replicas that were added get their share,
# none lasts longer than this; calls on it are answered first (gRPC varies the time by a tenth).
CONNECTION_AGE_MS = 120_000

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class ErrorTranslation(UnaryReplyInterceptor):
    """Handlers raise SiftlineError; clients see its status. Anything else is INTERNAL, told in the log only."""

    def wrap(self, method: str, handler: Any) -> Any:
        inner = behaviour_of(handler)

        async def translated(request: Any, context: grpc.aio.ServicerContext) -> Any:
            try:
                return await inner(decoded(request), context)
            except SiftlineError as error:
                await abort(context, error)
            except (grpc.aio.AbortError, asyncio.CancelledError):
                raise
            except Exception:
                log.exception("unexpected error in %s", method)
                await abort(context, Internal("internal error"))

        return rewrap(handler._replace(request_deserializer=lenient(handler.request_deserializer)), translated)


async def abort(context: grpc.aio.ServicerContext, error: SiftlineError) -> NoReturn:
    """Ends the call with the error's status; details travel as google.rpc.Status, retry delay also as pushback."""
    trailers: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", to_status(error).SerializeToString())]
    trailers.append((logs.REQUEST_ID, logs.request_id()))
    if isinstance(error, Overloaded):
        trailers.append(("grpc-retry-pushback-ms", str(max(1, int(error.retry_after * 1000)))))
    await context.abort(_CODES[error.code], str(error), tuple(trailers))
    raise AssertionError("abort always raises")


async def serve(
    settings: ServerSettings,
    register: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
    health: Health,
    *,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    started: Callable[[], Awaitable[None]] | None = None,
    stopping: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then says NOT_SERVING, answers what is in flight, and returns.

    `interceptors` come innermost: errors that they raise are translated. `started` runs once the port is bound (before,
    where the port is shared); what makes the server ready calls `health.set_serving(True)` itself. `stopping` drains
    what else serves here meanwhile. Raises StartupError when a port can't be had or TLS files are wrong.
    """
    credentials = server_credentials(settings)
    server = grpc.aio.server(
        interceptors=(Incoming(), RequestMetrics(), ErrorTranslation(), *interceptors), options=_options(settings)
    )
    register(server)
    health.register(server)
    await health.set_serving(False)
    reflection.enable_server_reflection((*service_names, "grpc.health.v1.Health", reflection.SERVICE_NAME), server)
    declare_methods(_methods(service_names))
    count_tasks()
    if settings.worker and started is not None:
        await started()  # the others have the port: one that is not ready must not take their callers
        started = None
    servers = [server]
    _bind(server, "listen", settings.listen, credentials)
    if settings.health:
        servers.append(_probed(health, settings))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    for each in servers:
        await each.start()
    # What start-up has made stays: the collector, which would look through all of it every few seconds, need not.
    gc.freeze()
    try:
        await _until(stop, started)
    finally:
        await health.set_serving(False)
        stops = [each.stop(grace=settings.drain_seconds) for each in servers]
        await asyncio.gather(*stops, *([stopping()] if stopping is not None else []))


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", int(settings.worker)),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
    ]


def _probed(health: Health, settings: ServerSettings) -> grpc.aio.Server:
    """A server in clear with nothing but health: Kubernetes' probes speak no TLS."""
    server = grpc.aio.server(options=_options(settings))
    health.register(server)
    _bind(server, "health", settings.health, None)
    return server


async def _until(stop: asyncio.Event, started: Callable[[], Awaitable[None]] | None) -> None:
    """Waits for `stop`; what `started` raises ends the wait, and `stop` ends what `started` still does."""
    stopped = asyncio.create_task(stop.wait())
    if started is not None:
        starting = asyncio.ensure_future(started())
        await asyncio.wait({stopped, starting}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            return
        starting.result()
    await stopped


def _bind(server: grpc.aio.Server, name: str, address: str, credentials: grpc.ServerCredentials | None) -> None:
    try:
        secure = credentials is not None
        bound = server.add_secure_port(address, credentials) if secure else server.add_insecure_port(address)
    except RuntimeError as error:
        raise StartupError(f"{name} address {address}: already in use or not an address of this machine") from error
    if bound == 0:
        raise StartupError(f"{name} address {address}: already in use or not an address of this machine")


def _methods(service_names: Sequence[str]) -> list[str]:
    pool = descriptor_pool.Default()
    return [f"/{name}/{method.name}" for name in service_names for method in pool.FindServiceByName(name).methods]


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> NoReturn:
    """Runs a deployable. What keeps it from starting is one line on stderr and exit status 2."""
    logs.configure("text", calls=False)
    try:
        asyncio.run(main())
    except ValidationError as error:
        _refuse_to_start(_first_problem(error))
    except StartupError as error:
        _refuse_to_start(str(error))
    sys.exit(0)


def _refuse_to_start(problem: str) -> NoReturn:
    sys.stderr.write(f"siftline: {problem}\n")
    sys.exit(2)


def _first_problem(error: ValidationError) -> str:
    """Of the settings, in one line: the setting, what is wrong with it, and what it was."""
    problem = error.errors(include_url=False)[0]
    setting = "-".join(str(part).replace("_", "-") for part in problem["loc"])
    given = "" if problem["type"] == "missing" else f" (given: {problem['input']!r})"
    return f"setting --{setting}: {problem['msg']}{given}"
