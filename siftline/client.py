"""Clients for the gateway (or, for their own calls, the embed and the rerank service): numpy in, numpy out.

    with siftline.Client("127.0.0.1:50050") as client:
        vectors = client.embed(["one", "two"])
        for hit in client.search("python", "parse a date").hits:
            print(hit.title, hit.rerank_score)

`AsyncClient` has the same methods, to be awaited. Both may be shared between threads, or tasks.
"""

import abc
import copy
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from siftline import calls, channel, errors, tracing
from siftline.calls import Call
from siftline.certificates import Renewed
from siftline.replies import reply_of
from siftline.tls import TLS

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

DEFAULT_ADDRESS = "127.0.0.1:50050"
DEFAULT_TIMEOUT = 30.0

Metadata = Sequence[tuple[str, str]]


def _blocking(build: Callable[Parameters, Call[Result]]) -> Callable[Concatenate["Client", Parameters], Result]:
    @wraps(build)
    def method(self: "Client", /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        call = _built(build, *args, **kwargs)
        try:
            return call.read(self._stub(call)(call.request, **self._terms()))
        except grpc.RpcError as error:
            raise errors.from_call(error) from error

    return method


def _awaited(
    build: Callable[Parameters, Call[Result]],
) -> Callable[Concatenate["AsyncClient", Parameters], Awaitable[Result]]:
    @wraps(build)
    async def method(self: "AsyncClient", /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        call = _built(build, *args, **kwargs)
        try:
            metadata = (*self._metadata, *tracing.carried())
            return call.read(await reply_of(self._stub(call)(call.request, timeout=self._timeout, metadata=metadata)))
        except grpc.RpcError as error:
            raise errors.from_call(error) from error

    return method


def _built(
    build: Callable[Parameters, Call[Result]], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Call[Result]:
    try:
        return build(*args, **kwargs)
    except ValueError as error:
        raise errors.invalid(error) from error


class _Connection(abc.ABC):
    """What both clients are made of: a channel, a deadline, metadata."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        api_key: str | None = None,
        tls: TLS | None = None,
        metadata: Metadata = (),
    ) -> None:
        """timeout: seconds that a call may take, retries included. api_key: where the gateway asks for one, by default
        SIFTLINE_API_KEY of the environment. tls: certificate files, TLS() for none of one's own and public authorities;
        without it the connection is in clear. Raises SiftlineError for files that are wrong."""
        key = os.environ.get("SIFTLINE_API_KEY") if api_key is None else api_key
        self._timeout = timeout
        self._metadata = (*metadata, *((("authorization", f"Bearer {key}"),) if key else ()))
        options = channel.options(address, tls.name if tls is not None else "")
        self._channels = Renewed(lambda credentials: self._open(address, credentials, options), tls)

    @staticmethod
    @abc.abstractmethod
    def _open(address: str, credentials: grpc.ChannelCredentials | None, options: list[tuple[str, Any]]) -> Any: ...

    def with_timeout(self, seconds: float) -> Self:
        """The same client over the same connection with another deadline."""
        other = copy.copy(self)
        other._timeout = seconds
        return other

    def _terms(self) -> dict[str, Any]:
        return {"timeout": self._timeout, "metadata": (*self._metadata, *tracing.carried())}

    def _stub(self, call: Call[Any]) -> Any:
        return self._channels.current().unary_unary(
            call.method,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.response.FromString,
        )


class Client(_Connection):
    """Blocking calls. Every one may raise siftline.SiftlineError."""

    embed = _blocking(calls.embed)
    embed_with_details = _blocking(calls.embed_with_details)
    embed_model = _blocking(calls.embed_model)
    token_places = _blocking(calls.token_places)
    cache_stats = _blocking(calls.cache_stats)
    cache_purge = _blocking(calls.cache_purge)
    rerank = _blocking(calls.rerank)
    rerank_model = _blocking(calls.rerank_model)
    search = _blocking(calls.search)
    upsert = _blocking(calls.upsert)
    get = _blocking(calls.get)
    delete = _blocking(calls.delete)
    count = _blocking(calls.count)
    create_collection = _blocking(calls.create_collection)
    get_collection = _blocking(calls.get_collection)
    list_collections = _blocking(calls.list_collections)
    set_calibration = _blocking(calls.set_calibration)
    reindex = _blocking(calls.reindex)
    reindex_all = _blocking(calls.reindex_all)
    drop_collection = _blocking(calls.drop_collection)

    @staticmethod
    def _open(address: str, credentials: grpc.ChannelCredentials | None, options: list[tuple[str, Any]]) -> Any:
        if credentials is None:
            return grpc.insecure_channel(address, options)
        return grpc.secure_channel(address, credentials, options)

    def close(self) -> None:
        for each in self._channels.all():
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Connection):
    """The same calls, to be awaited, in the event loop that it was made in."""

    embed = _awaited(calls.embed)
    embed_with_details = _awaited(calls.embed_with_details)
    embed_model = _awaited(calls.embed_model)
    token_places = _awaited(calls.token_places)
    cache_stats = _awaited(calls.cache_stats)
    cache_purge = _awaited(calls.cache_purge)
    rerank = _awaited(calls.rerank)
    rerank_model = _awaited(calls.rerank_model)
    search = _awaited(calls.search)
    upsert = _awaited(calls.upsert)
    get = _awaited(calls.get)
    delete = _awaited(calls.delete)
    count = _awaited(calls.count)
    create_collection = _awaited(calls.create_collection)
    get_collection = _awaited(calls.get_collection)
    list_collections = _awaited(calls.list_collections)
    set_calibration = _awaited(calls.set_calibration)
    reindex = _awaited(calls.reindex)
    reindex_all = _awaited(calls.reindex_all)
    drop_collection = _awaited(calls.drop_collection)

    @staticmethod
    def _open(address: str, credentials: grpc.ChannelCredentials | None, options: list[tuple[str, Any]]) -> Any:
        if credentials is None:
            return grpc.aio.insecure_channel(address, options)
        return grpc.aio.secure_channel(address, credentials, options)

    async def close(self) -> None:
        for each in self._channels.all():
            await each.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
