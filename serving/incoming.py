"""What a call brings with it, and what calls that it leads to take along: its request id."""

from typing import Any

import grpc

from serving import logs
from serving.interception import UnaryReplyInterceptor, behaviour_of, rewrap

Metadata = tuple[tuple[str, str], ...]


class Incoming(UnaryReplyInterceptor):
    """Takes it up, and gives the request id back in the trailing metadata. Outermost interceptor."""

    def wrap(self, method: str, handler: Any) -> Any:
        inner = behaviour_of(handler)

        async def taken_up(request: Any, context: grpc.aio.ServicerContext) -> Any:
            metadata = dict(context.invocation_metadata() or ())
            request_id = logs.begin(str(metadata.get(logs.REQUEST_ID, "")))
            context.set_trailing_metadata(((logs.REQUEST_ID, request_id),))
            return await inner(request, context)

        return rewrap(handler, taken_up)


def carried() -> Metadata:
    """Metadata for a call to another part."""
    request_id = logs.request_id()
    return ((logs.REQUEST_ID, request_id),) if request_id else ()
