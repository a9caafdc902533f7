"""The OpenAPI document, made from the operations: their schemas come from the protos and from the dialects' structs."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from google.protobuf.descriptor import Descriptor

from gateway.http.call import PRIORITIES, PRIORITY_HEADER, TIMEOUT_HEADER
from gateway.http.dialect import Dialect
from gateway.http.endpoint import Endpoint, Operation
from gateway.http.reply import JSON
from gateway.http.schemas import Asked, Components, asked_schema, reply_schema
from serving.errors import Unauthenticated
from serving.logs import REQUEST_ID

_BODIES = ("POST", "PUT")
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
_HEADERS: dict[str, dict[str, Any]] = {
    REQUEST_ID: {"type": "string", "description": "Comes back, and stands in every log line of the call"},
    TIMEOUT_HEADER: {"type": "number", "exclusiveMinimum": 0, "description": "What the call may take"},
    PRIORITY_HEADER: {"type": "string", "enum": list(PRIORITIES), "description": "What is bulk lets others by"},
}


def document(endpoints: Iterable[Endpoint], *, keyed: bool) -> dict[str, Any]:
    """`keyed` says whether calls need an API key."""
    schemas: Components = {}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = endpoint.operation
        described = _operation(operation, endpoint.dialect, schemas)
        if keyed and operation.open:
            described["security"] = []
        paths.setdefault(_path(operation), {})[operation.method.lower()] = described
    parameters = {name: _parameter(name, "header", schema) for name, schema in _HEADERS.items()}
    components = {"schemas": schemas, "parameters": parameters, "securitySchemes": _KEYS}
    return {
        "openapi": "3.1.0",
        "info": {"title": "siftline", "version": version("siftline")},
        "paths": paths,
        "components": components,
        "security": [{name: []} for name in _KEYS] if keyed else [],
    }


def _path(operation: Operation) -> str:
    """Without what the router needs to know of a parameter."""
    return re.sub(r":\w+}", "}", operation.path)


def _operation(operation: Operation, dialect: Dialect, schemas: Components) -> dict[str, Any]:
    path = _path(operation)
    described: dict[str, Any] = {
        "tags": [dialect.name],
        "summary": operation.summary,
        "operationId": f"{operation.method.lower()}{re.sub(r'[^a-z0-9]+', '_', path)}",
        "parameters": [
            *(_parameter(name, "path", {"type": "string"}) for name in re.findall(r"{(\w+)}", path)),
            *(_parameter(name, "query", {"type": "string"}) for name in operation.query),
            *({"$ref": f"#/components/parameters/{name}"} for name in _HEADERS),
        ],
        "responses": _responses(operation, dialect, schemas),
    }
    if operation.request is not None and operation.method in _BODIES:
        needed = not isinstance(operation.request, Asked)
        described["requestBody"] = {"content": _json(operation.request, dialect, schemas), "required": needed}
    return described


def _parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _responses(operation: Operation, dialect: Dialect, schemas: Components) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "The reply"}
    if isinstance(operation.reply, str):
        good["content"] = {operation.reply: {}}
    elif operation.reply is not None:
        good["content"] = _json(operation.reply, dialect, schemas)
    spoken = [each for each in (dialect, operation.also) if each is not None]
    faulty = _any_of([_reference(each.fault, each, schemas) for each in spoken])
    responses = {"200": good}
    for status in dialect.statuses:
        told = {"description": HTTPStatus(status).phrase, "content": faulty}
        if status == HTTPStatus.UNAUTHORIZED and dialect.error(Unauthenticated(""), status) is None:
            del told["content"]
        responses[str(status)] = told
    return responses


def _json(kind: Any, dialect: Dialect, schemas: Components) -> dict[str, Any]:
    kinds: Sequence[Any] = kind if isinstance(kind, tuple) else (kind,)
    return _any_of([_reference(each, dialect, schemas) for each in kinds])


def _any_of(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {JSON: {"schema": found[0] if len(found) == 1 else {"anyOf": list(found)}}}


def _reference(kind: Any, dialect: Dialect, schemas: Components) -> dict[str, Any]:
    if isinstance(kind, Asked):
        return dict(asked_schema(kind, schemas))
    if isinstance(kind, Descriptor):
        return dict(reply_schema(kind, schemas))
    # Dialects have types of one name.
    template = f"#/components/schemas/{dialect.name}.{{name}}"
    (reference,), found = msgspec.json.schema_components([kind], ref_template=template)
    schemas.update({f"{dialect.name}.{name}": schema for name, schema in found.items()})
    return reference
