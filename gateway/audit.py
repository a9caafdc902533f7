"""Audit log: who changed what, and how it ended; one JSON line for every call that writes, in a file of its own."""

import json
import logging
import time
from collections.abc import Awaitable, Callable
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from gateway import metrics
from gateway.caller import CALLER
from serving import logs
from serving.errors import SiftlineError, StartupError

log = logging.getLogger(__name__)

Behaviour = Callable[[Any, Any], Awaitable[Any]]

MAX_IDS = 1000


class Audit:
    """The file is opened again when it has been moved away, as logrotate does. Raises StartupError when it can't be."""

    def __init__(self, file: Path) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._file = _File(file)
        except OSError as error:
            raise StartupError(f"audit-log {file}: {error.strerror or error}") from error

    def around(self, method: str, behaviour: Behaviour) -> Behaviour:
        """The behaviour of `/package.Service/Method`, with a line written when it has ended, however it did."""

        async def recorded(request: Any, context: Any) -> Any:
            outcome = "UNKNOWN"
            try:
                reply = await behaviour(request, context)
                outcome = "OK"
                return reply
            except SiftlineError as error:
                outcome = error.reason
                raise
            finally:
                self._write(method, request, outcome)

        return recorded

    def close(self) -> None:
        self._file.close()

    def _write(self, method: str, request: Any, outcome: str) -> None:
        caller = CALLER.get()
        line = {
            "time": logs.instant(time.time()),
            "request_id": logs.request_id(),
            "key": caller.name,
            "tenant": caller.tenant,
            "method": method.rpartition("/")[2],
            "collection": getattr(request, "collection", "") or getattr(request, "name", ""),
            "outcome": outcome,
            **_documents(request),
        }
        self._file.handle(logging.makeLogRecord({"msg": json.dumps(line)}))


def _documents(request: Any) -> dict[str, Any]:
    """How many, and which of them; not of a stream, which is not kept."""
    ids = list(getattr(request, "ids", ())) or [document.id for document in getattr(request, "documents", ())]
    return {"documents": len(ids), "ids": ids[:MAX_IDS]} if ids else {}


class _File(WatchedFileHandler):
    """One that cannot be written to is counted, and stops nobody."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # of opening it again
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        metrics.AUDIT_FAILURES.inc()
        log.error("the audit log can't be written")
