"""The OpenAPI document, made from the operations: their schemas come from the protos and from the dialects' structs."""

import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec
from google.protobuf.descriptor import Descriptor

from gateway.http.endpoint import Endpoint
from gateway.http.messages import schema

_REF = "#/components/schemas/{name}"


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    components: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = endpoint.operation
        described = _operation(endpoint, components)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "siftline", "version": version("siftline")},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{}, {"bearer": []}, {"key": []}],
    }


def _operation(endpoint: Endpoint, components: dict[str, Any]) -> dict[str, Any]:
    operation = endpoint.operation
    names = re.findall(r"{(\w+)}", operation.path)
    described: dict[str, Any] = {
        "tags": [endpoint.dialect.name],
        "summary": operation.summary,
        "operationId": f"{operation.method.lower()}{re.sub(r'[^a-z0-9]+', '_', operation.path)}",
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names],
        "responses": {"200": {"description": "The reply"}, "default": _json("An error", {})},
    }
    if operation.request is not None and operation.method in ("POST", "PUT"):
        described["requestBody"] = _json("", _reference(operation.request, components)) | {"required": True}
        del described["requestBody"]["description"]
    if operation.reply is not None:
        described["responses"]["200"] = _json("The reply", _reference(operation.reply, components))
    return described


def _json(description: str, of: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": of}}}


def _reference(kind: Any, components: dict[str, Any]) -> dict[str, Any]:
    if isinstance(kind, Descriptor):
        return dict(schema(kind, components))
    (reference,), found = msgspec.json.schema_components([kind], ref_template=_REF)
    components.update(found)
    return reference
