"""Where a call's key is looked at: before anything of the request is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from gateway.auth.keys import Keys, secret_in
from gateway.auth.scopes import NEEDED, OPEN
from gateway.caller import CALLER, Caller
from serving import logs
from serving.errors import PermissionDenied, SiftlineError
from serving.interception import behaviour_of, rewrap
from serving.server import abort


class Authorization(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets a call through when its key has the scope that the method needs, as the key's tenant."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(details)
        if handler is None or details.method.startswith(OPEN):
            return handler
        if handler.response_streaming:
            return self._stream(handler, details)
        inner = behaviour_of(handler)

        async def authorized(request: Any, context: grpc.aio.ServicerContext) -> Any:
            self._enter(details)
            return await inner(request, context)

        return rewrap(handler, authorized)

    def _stream(self, handler: Any, details: grpc.HandlerCallDetails) -> Any:
        async def authorized(requests: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            try:
                self._enter(details)
            except SiftlineError as error:
                await abort(context, error)
            async for reply in handler.stream_stream(requests, context):
                yield reply

        return grpc.stream_stream_rpc_method_handler(
            authorized, handler.request_deserializer, handler.response_serializer
        )

    def _enter(self, details: grpc.HandlerCallDetails) -> None:
        caller = self._caller(details)
        CALLER.set(caller)
        logs.note(key=caller.name, tenant=caller.tenant)

    def _caller(self, details: grpc.HandlerCallDetails) -> Caller:
        metadata = dict(details.invocation_metadata or ())
        caller = self._keys.find(secret_in(metadata)).caller()
        if details.method not in NEEDED:
            raise PermissionDenied("no API key is for this method")
        scope = NEEDED[details.method]
        if scope is not None:
            caller.require(scope)
        return caller
