"""Where a call's key is looked at: before anything of the request is."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from gateway.auth.keys import Key, Keys, secret_in
from gateway.auth.scopes import NEEDED, OPEN
from gateway.caller import CALLER
from serving import logs
from serving.interception import rewrap


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
            raise NotImplementedError("a method that streams its reply needs its own check")
        inner = handler.stream_unary if handler.request_streaming else handler.unary_unary

        async def authorized(request: Any, context: grpc.aio.ServicerContext) -> Any:
            caller = self._key(details).caller()
            CALLER.set(caller)
            logs.note(key=caller.name, tenant=caller.tenant)
            return await inner(request, context)

        return rewrap(handler, authorized)

    def _key(self, details: grpc.HandlerCallDetails) -> Key:
        metadata = dict(details.invocation_metadata or ())
        key = self._keys.find(secret_in(metadata))
        key.require(NEEDED.get(details.method))
        return key
