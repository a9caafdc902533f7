"""TEI's errors: real statuses, and the documented ones for those who wrote their client by the book."""

import msgspec

from gateway.http import failure
from gateway.http.dialect import Dialect
from serving.errors import (
    FailedPrecondition,
    Internal,
    InvalidArgument,
    Overloaded,
    SiftlineError,
    Unauthenticated,
    Unavailable,
)
from serving.limits import EMPTY, TOO_MANY_ITEMS

NO_RERANKER = "NO_RERANKER"
_BACKEND = 424
_NAMES = {"texts": "inputs", "passages": "texts"}


class ErrorReply(msgspec.Struct):
    error: str
    error_type: str


def dialect(*, documented: bool) -> Dialect:
    """Documented: 413 for too many inputs, error types in lower case. Real: 422, PascalCase."""

    def status(error: SiftlineError) -> int:
        return 413 if documented and error.reason == TOO_MANY_ITEMS else _status(error)

    def body(error: SiftlineError, status: int) -> ErrorReply | None:
        if isinstance(error, Unauthenticated):
            return None
        kind = _kind(error)
        return ErrorReply(_message(error), kind.lower() if documented else kind)

    return Dialect("tei", ErrorReply, body, status, (*failure.STATUSES, _BACKEND), _NAMES)


def _status(error: SiftlineError) -> int:
    if isinstance(error, Internal | FailedPrecondition) or error.reason == NO_RERANKER:
        return _BACKEND
    status = failure.status_of(error)
    return 422 if status == 400 and error.reason != EMPTY and getattr(error, "field", "") != "body" else status


def _kind(error: SiftlineError) -> str:
    if error.reason == EMPTY:
        return "Empty"
    if isinstance(error, Overloaded):
        return "Overloaded"
    if isinstance(error, Unavailable) and error.reason != NO_RERANKER:
        return "Unhealthy"
    return "Validation" if failure.status_of(error) < 500 and not isinstance(error, FailedPrecondition) else "Backend"


def _message(error: SiftlineError) -> str:
    if isinstance(error, Overloaded):
        return "Model is overloaded"
    if error.reason == NO_RERANKER:
        return "model is not a re-ranker model"
    if isinstance(error, InvalidArgument) and error.reason == EMPTY:
        name = error.field.partition("[")[0]
        return f"`{name}` cannot be empty"
    if isinstance(error, InvalidArgument) and error.reason == TOO_MANY_ITEMS:
        return str(error).removeprefix(f"{error.field}: ")
    return str(error)
