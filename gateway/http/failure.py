"""What an error is over HTTP, whatever the dialect: status and headers. The body is the dialect's own."""

import math

from serving.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Overloaded,
    PermissionDenied,
    SiftlineError,
    Unauthenticated,
    Unavailable,
)

BODY_TOO_LARGE, SLOW_BODY, NO_ROUTE, WRONG_METHOD = "BODY_TOO_LARGE", "SLOW_BODY", "NO_ROUTE", "WRONG_METHOD"

_BY_REASON = {BODY_TOO_LARGE: 413, "TOO_MANY_ITEMS": 422, "TOO_LONG": 422, SLOW_BODY: 408, WRONG_METHOD: 405}
_BY_KIND: dict[type[SiftlineError], int] = {
    InvalidArgument: 400,
    FailedPrecondition: 400,
    Unauthenticated: 401,
    PermissionDenied: 403,
    NotFound: 404,
    AlreadyExists: 409,
    Overloaded: 429,
    Unavailable: 503,
    DeadlineExceeded: 504,
}


STATUSES = sorted({500, *_BY_KIND.values(), *_BY_REASON.values()} - {_BY_REASON[WRONG_METHOD]})


def status_of(error: SiftlineError) -> int:
    """409 is kept for what exists already: clients of OpenAI and Cohere try a 409 again."""
    kind = next((status for kind, status in _BY_KIND.items() if isinstance(error, kind)), 500)
    return _BY_REASON.get(error.reason, kind)


def headers_of(error: SiftlineError) -> dict[str, str]:
    """When to come back: whole seconds, because Cohere's client fails at fractions, and milliseconds for OpenAI's."""
    if isinstance(error, Overloaded):
        milliseconds = max(1, math.ceil(error.retry_after * 1000))
        return {"retry-after": str(math.ceil(milliseconds / 1000)), "retry-after-ms": str(milliseconds)}
    if isinstance(error, Unauthenticated):
        return {"www-authenticate": "Bearer"}
    return {}
