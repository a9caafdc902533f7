"""All routes as one ASGI application."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import Route, Router

from gateway.api.embed import EmbedServicer
from gateway.api.rerank import RerankServicer
from gateway.api.search import SearchServicer
from gateway.auth.keys import Keys
from gateway.http import pages
from gateway.http.call import Call
from gateway.http.dialect import Dialect
from gateway.http.dialects.cohere import COHERE, Cohere
from gateway.http.dialects.nim import NIM, Nim
from gateway.http.dialects.openai import OPENAI, OpenAI
from gateway.http.dialects.own import OWN
from gateway.http.dialects.own import operations as own_operations
from gateway.http.dialects.tei.errors import dialect as tei_dialect
from gateway.http.dialects.tei.information import Information
from gateway.http.dialects.tei.routes import Tei
from gateway.http.endpoint import Endpoint, Limits, Operation
from gateway.http.failure import NO_ROUTE, WRONG_METHOD
from gateway.http.models import Models
from gateway.http.openapi import document
from gateway.http.reply import Reply
from gateway.http.token_ids import TokenIds
from gateway.page import site
from gateway.settings import GatewaySettings
from serving.errors import InvalidArgument, NotFound
from serving.health import Health


class _Path(PathConvertor):
    """With line breaks too, so that what is wrong with such a path is said in the route's dialect."""

    regex = "(?s:.*)"


register_url_convertor("path", _Path())


@dataclass(frozen=True, slots=True)
class Core:
    """What answers gRPC and HTTP alike."""

    search: SearchServicer
    embed: EmbedServicer
    rerank: RerankServicer
    health: Health


def application(core: Core, keys: Keys | None, settings: GatewaySettings) -> "Application":
    """Raises StartupError for a vocabulary that cannot be read."""
    limits = Limits(settings.http_max_body_bytes, settings.default_deadline_s)
    models = Models(core.embed, core.rerank, TokenIds(core.embed, settings.openai_vocabulary))
    spoken: Sequence[tuple[Dialect, list[Operation]]] = (
        (OPENAI, OpenAI(models).operations()),
        (COHERE, Cohere(models).operations()),
        (tei_dialect(documented=settings.tei_documented), Tei(models, Information(models, core.health)).operations()),
        (NIM, Nim(models, core.health).operations()),
        (OWN, own_operations(core.search)),
    )
    endpoints = [Endpoint(each, dialect, keys, limits) for dialect, operations in spoken for each in operations]
    endpoints += [Endpoint(each, OWN, None, limits) for each in site.operations()]
    described = document(endpoints, keyed=keys is not None)
    endpoints += [Endpoint(each, OWN, None, limits) for each in pages.operations(described)]
    return Application(endpoints, limits)


class Application:
    """Finds the endpoint: by the path, or where it has {names} by trying one after the other."""

    def __init__(self, endpoints: Sequence[Endpoint], limits: Limits) -> None:
        by_path: dict[str, list[Endpoint]] = defaultdict(list)
        for each in endpoints:
            by_path[each.operation.path].append(each)
        self._paths = {path: _Methods(those, limits) for path, those in by_path.items()}
        named = [Route(path, methods) for path, methods in sorted(self._paths.items()) if "{" in path]
        nowhere = Operation("*", "unknown", None, _no_route)
        self._named = Router(named, redirect_slashes=False, default=Endpoint(nowhere, OWN, None, limits))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._paths.get(scope["path"], self._named)(scope, receive, send)


class _Methods:
    """The endpoints of one path, by method."""

    def __init__(self, endpoints: Sequence[Endpoint], limits: Limits) -> None:
        self._endpoints = {each.operation.method: each for each in endpoints}
        first, allowed = endpoints[0], ", ".join(self._endpoints)
        error = InvalidArgument("method", f"is none of {allowed}, which this path has", reason=WRONG_METHOD)

        async def refuse(call: Call) -> Reply:
            reply = first.dialect.refusal(error)
            reply.headers = {**reply.headers, "allow": allowed}
            return reply

        operation = Operation("*", first.operation.path, None, refuse)
        self._other = Endpoint(operation, first.dialect, None, limits)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        await self._endpoints.get(method, self._other)(scope, receive, send)


async def _no_route(call: Call) -> Reply:
    raise NotFound("there is nothing at this path; /docs shows what there is", reason=NO_ROUTE)
