"""Bytes that are no message: an error of the client's, where grpc would say UNKNOWN."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from serving.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Stands for a request that could not be parsed, until someone can be told."""

    error: str

    def refuse(self) -> InvalidArgument:
        return InvalidArgument("request", f"{self.error} (strings must be UTF-8, without surrogates)")


def lenient(deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """The same deserializer, but Undecodable where it raises."""

    def decode(data: bytes) -> Any:
        try:
            return deserializer(data)
        except DecodeError as error:
            return Undecodable(str(error))

    return decode


def decoded(request: Any) -> Any:
    """The request, or the stream of requests, as it is; raises InvalidArgument for what is Undecodable."""
    if isinstance(request, Undecodable):
        raise request.refuse()
    return _decoded_stream(request) if isinstance(request, AsyncIterator) else request


async def _decoded_stream(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield decoded(request)
