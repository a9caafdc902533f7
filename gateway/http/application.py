"""All routes as one ASGI application."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route, Router

from gateway.api.embed import EmbedServicer
from gateway.api.rerank import RerankServicer
from gateway.api.search import SearchServicer
from gateway.auth.keys import Keys
from gateway.http import pages
from gateway.http.call import Call
from gateway.http.dialect import Dialect
from gateway.http.dialects.openai import OPENAI, OpenAI
from gateway.http.dialects.own import OWN
from gateway.http.dialects.own import operations as own_operations
from gateway.http.endpoint import Endpoint, Limits, Operation
from gateway.http.failure import NO_ROUTE, WRONG_METHOD
from gateway.http.openapi import document
from gateway.http.reply import Reply
from serving.errors import InvalidArgument, NotFound
from serving.health import Health


@dataclass(frozen=True, slots=True)
class Core:
    """What answers gRPC and HTTP alike."""

    search: SearchServicer
    embed: EmbedServicer
    rerank: RerankServicer
    health: Health


def application(core: Core, keys: Keys | None, limits: Limits) -> Router:
    spoken: Sequence[tuple[Dialect, list[Operation]]] = (
        (OPENAI, OpenAI(core.embed).operations()),
        (OWN, own_operations(core.search)),
    )
    endpoints = [Endpoint(each, dialect, keys, limits) for dialect, operations in spoken for each in operations]
    described = document(endpoints)
    endpoints += [Endpoint(each, OWN, None, limits) for each in pages.operations(core.health, described)]
    by_path = itertools.groupby(
        sorted(endpoints, key=lambda each: each.operation.path), lambda each: each.operation.path
    )
    routes = [Route(path, _Methods(list(group), limits)) for path, group in by_path]
    nowhere = Operation("*", "unknown", None, _no_route)
    return Router(routes, redirect_slashes=False, default=Endpoint(nowhere, OWN, None, limits))


class _Methods:
    """The endpoints of one path, by method."""

    def __init__(self, endpoints: Sequence[Endpoint], limits: Limits) -> None:
        self._endpoints = {each.operation.method: each for each in endpoints}
        first, allowed = endpoints[0], ", ".join(self._endpoints)

        async def refuse(call: Call) -> Reply:
            raise InvalidArgument("method", f"is none of {allowed}, which this path has", reason=WRONG_METHOD)

        operation = Operation("*", first.operation.path, None, refuse)
        self._other = Endpoint(operation, first.dialect, None, limits)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        await self._endpoints.get(method, self._other)(scope, receive, send)


async def _no_route(call: Call) -> Reply:
    raise NotFound("there is nothing at this path; /docs shows what there is", reason=NO_ROUTE)
