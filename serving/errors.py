"""Errors of siftline's own, and the one table that turns them into gRPC statuses.

SiftlineError
├── InvalidArgument      the request is wrong; the message names the field and the limit
├── NotFound             a model, collection or document that does not exist here
├── AlreadyExists
├── Unauthenticated      no key, or none that is known here
├── PermissionDenied     the key is known, but not for this
├── FailedPrecondition   right request, wrong state: for example vectors of another model
├── Overloaded           full; carries the seconds after which there should be room
│   └── QuotaExceeded    the caller has had its share
├── DeadlineExceeded     the caller's deadline passed before the work was done
├── Unavailable          not ready, or a part that is needed is down
└── Internal             our fault

Foreign errors are translated to these where they enter (serving/triton.py, gateway/recall, ...);
these are translated once, where they leave, by `to_status`.
"""

from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "siftline"


class SiftlineError(Exception):
    """Root of the tree. `reason` is a constant that clients may switch on."""

    code: int = code_pb2.INTERNAL
    reason = "INTERNAL"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason


class InvalidArgument(SiftlineError):
    code = code_pb2.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, field: str, message: str, *, reason: str | None = None) -> None:
        super().__init__(f"{field}: {message}", reason=reason)
        self.field = field


class NotFound(SiftlineError):
    code = code_pb2.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExists(SiftlineError):
    code = code_pb2.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class Unauthenticated(SiftlineError):
    code = code_pb2.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(SiftlineError):
    code = code_pb2.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class FailedPrecondition(SiftlineError):
    code = code_pb2.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class Overloaded(SiftlineError):
    code = code_pb2.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaExceeded(Overloaded):
    reason = "QUOTA_EXCEEDED"


class DeadlineExceeded(SiftlineError):
    code = code_pb2.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class Unavailable(SiftlineError):
    code = code_pb2.UNAVAILABLE
    reason = "UNAVAILABLE"


class Internal(SiftlineError):
    pass


class StartupError(Exception):
    """A process can't start; the message says in one line what is wrong and what to change."""


def to_status(error: SiftlineError) -> status_pb2.Status:
    """The google.rpc.Status of an error: canonical code, message, ErrorInfo{reason, domain} and details."""
    details = [_pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN))]
    if isinstance(error, InvalidArgument):
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=str(error))
        details.append(_pack(error_details_pb2.BadRequest(field_violations=[violation])))
    if isinstance(error, Overloaded):
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status_pb2.Status(code=error.code, message=str(error), details=details)


def _pack(message: error_details_pb2.ErrorInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
