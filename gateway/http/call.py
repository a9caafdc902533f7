"""One HTTP request as the servicers and the dialects see it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.deadline import Deadline
from serving.errors import InvalidArgument

TIMEOUT_HEADER = "x-request-timeout-ms"
PRIORITY_HEADER = "x-priority"
PRIORITIES = {"interactive": 1, "bulk": 2}  # as both protos number them


@dataclass(slots=True)
class Call:
    """Stands in for gRPC's context: a servicer asks it for nothing but the time that is left.

    `headers` by lower-case name; `path` holds what the route's {names} stand for; `request_id` is echoed; `priority` is
    PRIORITY_INTERACTIVE or PRIORITY_BULK of the protos.
    """

    headers: Mapping[str, str]
    path: Mapping[str, str]
    query: bytes
    deadline: Deadline
    request_id: str
    priority: int
    body: bytes = b""

    def time_remaining(self) -> float:
        return self.deadline.left


def priority_of(headers: Mapping[str, str]) -> int:
    """Raises InvalidArgument for a header that names none."""
    name = headers.get(PRIORITY_HEADER, "interactive")
    if name not in PRIORITIES:
        raise InvalidArgument(PRIORITY_HEADER, f"{name!r:.40} is not one of {', '.join(PRIORITIES)}")
    return PRIORITIES[name]


def timeout_of(headers: Mapping[str, str], default_s: float) -> float:
    """Seconds that the caller gives the call. Raises InvalidArgument for a header that is not milliseconds above 0."""
    value = headers.get(TIMEOUT_HEADER)
    if value is None:
        return default_s
    try:
        milliseconds = float(value)
    except ValueError:
        milliseconds = math.nan
    if not 0 < milliseconds < math.inf:
        raise InvalidArgument(TIMEOUT_HEADER, f"{value!r:.40} is not a number of milliseconds above 0")
    return milliseconds / 1000
