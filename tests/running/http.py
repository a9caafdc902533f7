"""A plain HTTP client for tests: what was sent and what came back, nothing in between."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """`body` is what JSON says where it is JSON, else bytes; `headers` by lower-case name."""

    status: int
    body: Any
    headers: dict[str, str]


def ask(url: str, body: Any = None, method: str = "", **headers: str) -> Answer:
    """POST where there is a body, else GET. `headers` are written with _ for -."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, sent, method=method or ("GET" if body is None else "POST"))
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return _read(reply)
    except urllib.error.HTTPError as error:
        with error:
            return _read(error)


def _read(reply: Any) -> Answer:
    text = reply.read()
    headers = {name.lower(): value for name, value in reply.headers.items()}
    parsed = json.loads(text) if text and headers["content-type"] == "application/json" else text
    return Answer(reply.status, parsed, headers)
