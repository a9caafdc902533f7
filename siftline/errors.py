"""What a call that failed raises."""

import re

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DETAILS_KEY = "grpc-status-details-bin"


class SiftlineError(Exception):
    """A call was refused or did not succeed.

    code: the canonical gRPC code, for example grpc.StatusCode.NOT_FOUND
    reason: a constant to switch on, for example "OVERLOADED"; the code's name when the server gave none
    retry_after: seconds after which there should be room, when the server said so
    request_id: by which the server's logs know the call; empty when it never got there
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode,
        reason: str = "",
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason or code.name
        self.retry_after = retry_after
        self.request_id = request_id


def from_call(error: grpc.RpcError) -> SiftlineError:
    """Ours for gRPC's, with the details that came with it."""
    reason, retry_after = "", None
    for detail in _details(error):
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    message = explained(error.details() or error.code().name)
    request_id = str(dict(error.trailing_metadata() or ()).get("x-request-id", ""))
    return SiftlineError(message, code=error.code(), reason=reason, retry_after=retry_after, request_id=request_id)


# What gRPC says of a connection that did not come about, by a word of it, and what that means.
_HANDSHAKES = {
    "certificate has expired": "the server's certificate has expired",
    "certificate is not yet valid": "the server's certificate is not valid yet",
    "unable to get local issuer certificate": "the server's certificate is not from an authority that is trusted here",
    "self signed certificate": "the server's certificate is not from an authority that is trusted here",
    "self-signed certificate": "the server's certificate is not from an authority that is trusted here",
    "Hostname Verification Check failed": "the server's certificate is for another host than this address",
    "WRONG_VERSION_NUMBER": "the server does not speak TLS there",
    "Socket closed": "the server closed the connection at once (it speaks TLS and this side does not, or it wants a "
    "client certificate that it trusts, or it is stopping)",
}


_TOO_LARGE = re.compile(r"message larger than max \((\d+) vs\. (\d+)\)")


def explained(details: str) -> str:
    """gRPC's message, or one line for people where a message was too large, or a connection failed for its TLS."""
    if match := _TOO_LARGE.search(details):
        return f"message: {match[1]} bytes; the limit is {match[2]}"
    _, last, problem = details.partition("last error: ")
    for words, meaning in _HANDSHAKES.items():
        if last and words in problem:
            address = problem.partition(": ")[2].partition(": ")[0].removeprefix("ipv4:").removeprefix("ipv6:")
            return f"{address}: {meaning}"
    return details


def invalid(error: ValueError) -> SiftlineError:
    """For a request that cannot be put on the wire at all, for example a text with a lone surrogate."""
    return SiftlineError(f"request: {error}", code=grpc.StatusCode.INVALID_ARGUMENT)


def _details(error: grpc.RpcError) -> list[any_pb2.Any]:
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY:
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                break
    return []
