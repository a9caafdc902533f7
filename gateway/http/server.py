"""The HTTP server, in the event loop of the gRPC server."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn

from gateway.http.connection import Connection
from gateway.tasks import end
from serving.errors import StartupError

_KEEP_ALIVE_S = 75  # longer than the minute for which load balancers keep an idle connection
_BACKLOG = 2048


class _Uvicorn(uvicorn.Server):
    """Signals are for the process that has the gRPC server too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves an ASGI application on HOST:PORT, in clear without `tls`. Raises StartupError when it can't be had."""

    def __init__(
        self, listen: str, application: Any, tls: ssl.SSLContext | None, *, drain_seconds: float, reuse_port: bool
    ) -> None:
        self._socket = _bound(listen, reuse_port)
        config = uvicorn.Config(
            application,
            http=Connection,
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody asks for the client's address
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(drain_seconds)),
            backlog=_BACKLOG,
            ssl_context_factory=(lambda config, make: tls) if tls is not None else None,
        )
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    async def stop(self) -> None:
        """Takes no more connections, answers what is in flight for as long as the drain lasts, and returns."""
        self._server.should_exit = True
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await end(self._task)
        self._socket.close()


def _bound(listen: str, reuse_port: bool) -> socket.socket:
    host, _, port = listen.rpartition(":")
    try:
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, int(port)))
    except (OSError, ValueError, OverflowError) as error:
        raise StartupError(f"http address {listen}: {getattr(error, 'strerror', None) or error}") from error
    bound.setblocking(False)
    return bound
