"""Interceptors of methods that reply once, each method's handler wrapped once and not once per call."""

import abc
from collections.abc import Awaitable, Callable
from typing import Any

import grpc


class UnaryReplyInterceptor(grpc.aio.ServerInterceptor, abc.ABC):  # type: ignore[misc]
    """Subclasses say how a method behaves; methods that stream their reply are left as they are."""

    def __init__(self) -> None:
        self._wrapped: dict[str, tuple[Any, Any]] = {}

    @abc.abstractmethod
    def wrap(self, method: str, handler: Any) -> Any:
        """The handler to use for `/package.Service/Method` in place of `handler`."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(details)
        if handler is None or handler.response_streaming:
            return handler
        inner, wrapped = self._wrapped.get(details.method, (None, None))
        # What lies further in may give another handler for a call; that one is then wrapped for it.
        if inner is not handler:
            wrapped = self.wrap(details.method, handler)
            self._wrapped[details.method] = handler, wrapped
        return wrapped


def behaviour_of(handler: Any) -> Callable[..., Awaitable[Any]]:
    behaviour: Callable[..., Awaitable[Any]] = (
        handler.stream_unary if handler.request_streaming else handler.unary_unary
    )
    return behaviour


def rewrap(handler: Any, behaviour: Callable[..., Awaitable[Any]]) -> Any:
    """The same unary-reply handler with another behaviour."""
    make = grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
    return make(behaviour, handler.request_deserializer, handler.response_serializer)
