"""Where a call's key is looked at: before anything of the request is."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from gateway.auth.keys import Key, Keys
from gateway.auth.scopes import NEEDED, OPEN
from gateway.tenant import TENANT
from serving.errors import PermissionDenied, Unauthenticated
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
            TENANT.set(self._key(details).tenant)
            return await inner(request, context)

        return rewrap(handler, authorized)

    def _key(self, details: grpc.HandlerCallDetails) -> Key:
        key = self._keys.find(_secret(details))
        scope = NEEDED.get(details.method)
        if scope is None or scope not in key.scopes:
            raise PermissionDenied(f"the API key lacks the scope {scope.value if scope else 'for this method'!r}")
        return key


def _secret(details: grpc.HandlerCallDetails) -> str:
    """From `authorization: Bearer KEY` or `x-api-key: KEY`."""
    metadata = dict(details.invocation_metadata or ())
    scheme, _, bearer = str(metadata.get("authorization", "")).partition(" ")
    secret = bearer.strip() if scheme.lower() == "bearer" else str(metadata.get("x-api-key", ""))
    if not secret:
        raise Unauthenticated("no API key: send it as `authorization: Bearer KEY` or `x-api-key: KEY`")
    return secret
