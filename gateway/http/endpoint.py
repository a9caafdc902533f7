"""What every route goes through: request id, key, body, deadline; and an answer in the dialect's own words."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from gateway.auth.keys import Keys, secret_in
from gateway.auth.scopes import Scope
from gateway.caller import CALLER
from gateway.deadline import Deadline
from gateway.http import body
from gateway.http.body import Gone
from gateway.http.call import Call, priority_of, timeout_of
from gateway.http.dialect import Dialect
from gateway.http.failure import BODY_TOO_LARGE, SLOW_BODY
from gateway.http.metrics import HTTP_REQUESTS, HTTP_SECONDS
from gateway.http.reply import Reply
from serving import logs, tracing
from serving.errors import Internal, SiftlineError

log = logging.getLogger(__name__)

_GONE = 499
# Bytes that the client still sends would be taken for its next request.
_CLOSING = {BODY_TOO_LARGE, SLOW_BODY}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `scope` is what a key must have, None any key; `open` ones need none.

    `request` and `reply` say of what type the bodies are: a struct, a message of the protos, several of these; or the
    media type of what is not JSON. `query` names parameters; `also` is the dialect that shares the path.
    """

    method: str
    path: str
    scope: Scope | None
    handle: Callable[[Call], Awaitable[Reply]]
    summary: str = ""
    request: Any = None
    reply: Any = None
    open: bool = False
    query: Sequence[str] = ()
    also: Dialect | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    max_body_bytes: int
    default_deadline_s: float


class Endpoint:
    """An operation as an ASGI application."""

    def __init__(self, operation: Operation, dialect: Dialect, keys: Keys | None, limits: Limits) -> None:
        self.operation = operation
        self.dialect = dialect
        self._keys = keys
        self._limits = limits
        self._name = f"{operation.method} {operation.path}"
        self._seconds = HTTP_SECONDS.labels(dialect.name, operation.path)
        self._answered = HTTP_REQUESTS.labels(dialect.name, operation.path, "200")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        started = time.perf_counter()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = logs.begin(headers.get(logs.REQUEST_ID, ""))
        traced = tracing.on() and not self.operation.open  # those are asked every few seconds, for ever
        with tracing.serving(self._name, headers) if traced else nullcontext():
            try:
                reply = await self._reply(scope, receive, headers, request_id)
            except Gone:
                self._count(Reply(_GONE, b""), started)
                return
            self._count(reply, started)
        await _send(send, reply, request_id)

    async def _reply(self, scope: Any, receive: Any, headers: dict[str, str], request_id: str) -> Reply:
        try:
            deadline = Deadline(timeout_of(headers, self._limits.default_deadline_s))
            self._enter(headers)
            path, priority = scope.get("path_params", {}), priority_of(headers)
            call = Call(headers, path, scope["query_string"], deadline, request_id, priority)
            call.body = await body.read(receive, headers, self._limits.max_body_bytes, deadline)
            return await _while_there(self.operation.handle(call), receive)
        except SiftlineError as error:
            return self._refusal(error)
        except Gone:
            raise
        except Exception:
            log.exception("unexpected error in %s %s", self.operation.method, self.operation.path)
            return self._refusal(Internal("internal error"))

    def _enter(self, headers: dict[str, str]) -> None:
        if self._keys is None or self.operation.open:
            return
        caller = self._keys.find(secret_in(headers)).caller()
        if self.operation.scope is not None:
            caller.require(self.operation.scope)
        CALLER.set(caller)
        logs.note(key=caller.name, tenant=caller.tenant)

    def _refusal(self, error: SiftlineError) -> Reply:
        reply = self.dialect.refusal(error)
        if error.reason in _CLOSING:
            reply.headers = {**reply.headers, "connection": "close"}
        return reply

    def _count(self, reply: Reply, started: float) -> None:
        took = time.perf_counter() - started
        self._seconds.observe(took, tracing.exemplar())
        logs.answered(self._name, str(reply.status), took)
        tracing.tell({"siftline.request_id": logs.request_id(), "http.response.status_code": reply.status})
        if reply.status == 200 and not reply.dialect:
            self._answered.inc()
        else:
            dialect = reply.dialect or self.dialect.name
            HTTP_REQUESTS.labels(dialect, self.operation.path, str(reply.status)).inc()


async def _while_there(handling: Awaitable[Reply], receive: Any) -> Reply:
    """The reply, computed for as long as the client is there. Raises Gone."""
    task = asyncio.ensure_future(handling)
    gone = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _send(send: Any, reply: Reply, request_id: str) -> None:
    headers: Sequence[tuple[bytes, bytes]] = [
        *([(b"content-type", reply.media_type.encode())] if reply.body else []),
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-request-id", request_id.encode("latin-1")),
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
