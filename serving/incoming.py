"""What a call brings with it, and what calls that it leads to take along: its request id and its trace."""

from typing import Any

import grpc

from serving import logs, tracing
from serving.interception import UnaryReplyInterceptor, behaviour_of, rewrap

# Calls that parts make of each other every few seconds, for ever.
_PROBES, _WATCHES = "/grpc.health", "/GetModel"

Metadata = tuple[tuple[str, str], ...]


class Incoming(UnaryReplyInterceptor):
    """Takes it up, and gives the request id back in the trailing metadata. Outermost interceptor."""

    def wrap(self, method: str, handler: Any) -> Any:
        inner, traced = behaviour_of(handler), not method.startswith(_PROBES) and not method.endswith(_WATCHES)

        async def taken_up(request: Any, context: grpc.aio.ServicerContext) -> Any:
            metadata = dict(context.invocation_metadata() or ())
            request_id = logs.begin(str(metadata.get(logs.REQUEST_ID, "")))
            logs.join(str(metadata.get(logs.JOINED, "")))
            context.set_trailing_metadata(((logs.REQUEST_ID, request_id),))
            if not traced or not tracing.on():
                return await inner(request, context)
            with tracing.serving(method, metadata) as span:
                span.set_attribute("siftline.request_id", request_id)
                return await inner(request, context)

        return rewrap(handler, taken_up)


def carried() -> Metadata:
    """Metadata for a call to another part."""
    ids = ((logs.REQUEST_ID, logs.request_id()), (logs.JOINED, logs.joined()))
    return (*((name, value) for name, value in ids if value), *tracing.carried())
