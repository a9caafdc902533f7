"""Logs of a process: as text or as JSON lines, each with the facts of the call that it is about."""

import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Literal

REQUEST_ID = "x-request-id"
JOINED = "x-joined-request-ids"  # those of further calls that one call is made for, parted by commas
ANSWERED = logging.getLogger("siftline.answered")

_ACCEPTED = re.compile(r"[\x21-\x7e]{1,128}")
_ACCEPTED_JOINED = re.compile(r"[\x21-\x7e]{1,4096}")
_FACTS: ContextVar[Mapping[str, str]] = ContextVar("facts", default={})  # noqa: B039 never changed, always replaced


def begin(given: str) -> str:
    """A call begins: its request id, the caller's own or, where that is none or can't be one, a new one."""
    request_id = given if _ACCEPTED.fullmatch(given) else secrets.token_hex(16)
    _FACTS.set({"request_id": request_id})
    return request_id


def join(given: str) -> None:
    """The call that has begun is made for these further ones, too."""
    if _ACCEPTED_JOINED.fullmatch(given):
        note(joined_request_ids=given)


def request_id() -> str:
    """Of the call that is going on, empty outside of calls."""
    return _FACTS.get().get("request_id", "")


def joined() -> str:
    """Request ids of further calls that it is made for."""
    return _FACTS.get().get("joined_request_ids", "")


def note(**facts: str) -> None:
    """What every further line about this call says. Never a text, never a key."""
    _FACTS.set({**_FACTS.get(), **{name: fact for name, fact in facts.items() if fact}})


def answered(method: str, code: str, seconds: float) -> None:
    """One line for a call, where the setting asks for it; none for probes."""
    if ANSWERED.isEnabledFor(logging.INFO) and not method.startswith("/grpc.health"):
        facts = {"method": method, "code": code, "ms": round(seconds * 1e3, 3)}
        ANSWERED.info("%s %s in %.1f ms", method, code, seconds * 1e3, extra={"facts": facts})


def configure(form: Literal["text", "json"], *, calls: bool) -> None:
    """To stderr. `calls` adds a line for every call."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else Text())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    show_calls(calls)


def show_calls(shown: bool) -> None:
    """Whether every call gets a line from now on."""
    ANSWERED.setLevel(logging.INFO if shown else logging.WARNING)


class Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {name}={fact}" for name, fact in _FACTS.get().items())
        return super().formatMessage(record) + facts


class JsonLines(logging.Formatter):
    """One object a line: time (UTC), level, logger, message, the call's facts, and an exception's traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": instant(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_FACTS.get(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def instant(unix: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix)) + f".{int(unix % 1 * 1000):03d}Z"
