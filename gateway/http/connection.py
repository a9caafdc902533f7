"""A connection that does not wait for ever: for a request's head, or for a client that has left."""

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_S = 10.0
_PROBE_S = 0.5
_PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"  # which a client takes any number of before its answer (RFC 9110, 15.2)


class Connection(HttpToolsProtocol):
    """uvicorn's, with an end to slow heads, and an answer for clients that close their side after the request.

    From those that leave altogether the same end of data comes, but they reset the connection when something is sent.
    """

    _head: TimerHandle | None = None
    _probe: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        if self._probe is not None:
            self._probe.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # A head may begin in the middle of the data that a pipelined request ends in.
        if self._idle and self._head is None:
            self._expect_head()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._head_is_there()
        super().on_headers_complete()

    def eof_received(self) -> Any:
        """Whether to keep our side open: while a whole request waits for its answer."""
        if self._idle or self.cycle.more_body:
            return False
        last = self.pipeline[0][0] if self.pipeline else self.cycle
        last.keep_alive = False
        if self.scope["http_version"] != "1.0":
            self._probe = self.loop.call_later(_PROBE_S, self._ask_whether_it_is_there)
        return True

    def _ask_whether_it_is_there(self) -> None:
        if not self.cycle.response_started:
            self.transport.write(_PROBE)
        self._probe = self.loop.call_later(_PROBE_S, self._ask_whether_it_is_there)

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(_HEAD_S, self.transport.close)

    def _head_is_there(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
