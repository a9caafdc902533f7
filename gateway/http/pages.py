"""What is open to everyone: the OpenAPI document, and a page made of it that needs nothing from elsewhere."""

import json
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any

from gateway.http.call import Call
from gateway.http.endpoint import Operation
from gateway.http.reply import JSON, Reply

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>siftline API</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
summary { cursor: pointer; padding: .25rem 0 } code, pre { font: 14px/1.4 ui-monospace, monospace }
pre { overflow: auto; padding: .75rem; border: 1px solid #8886; border-radius: 6px }
b { display: inline-block; width: 4rem }
</style>
<h1>siftline API</h1><p>The same as a document: <a href="/openapi.json">openapi.json</a></p>
"""


def operations(document: dict[str, Any]) -> list[Operation]:
    page = _page(document)
    raw = json.dumps(document, indent=1).encode()
    return [
        *(_open(path, Reply(200, raw)) for path in ("/openapi.json", "/api-doc/openapi.json")),
        _open("/docs", Reply(200, page.encode(), {}, "text/html; charset=utf-8")),
    ]


def _open(path: str, reply: Reply) -> Operation:
    return Operation("GET", path, None, _always(reply), open=True)


def _always(reply: Reply) -> Callable[[Call], Awaitable[Reply]]:
    async def handle(call: Call) -> Reply:
        return reply

    return handle


def _page(document: dict[str, Any]) -> str:
    sections: dict[str, str] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = operation["tags"][0]
            sections[tag] = sections.get(tag, "") + _operation(method, path, operation, document)
    return _HEAD + "".join(f"<h2>{escape(tag)}</h2>{body}" for tag, body in sections.items())


def _operation(method: str, path: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    bodies = {"Request": operation.get("requestBody", {}), "Reply": operation["responses"]["200"]}
    parts = [_schema(title, part, document) for title, part in bodies.items() if JSON in part.get("content", {})]
    head = f"<b>{method.upper()}</b><code>{escape(path)}</code> {escape(operation['summary'])}"
    return f"<details><summary>{head}</summary>{''.join(parts)}</details>"


def _schema(title: str, part: dict[str, Any], document: dict[str, Any]) -> str:
    schema = part["content"][JSON]["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    shown = document["components"]["schemas"].get(name, schema)
    return f"<p>{title}</p><pre>{escape(json.dumps(shown, indent=1))}</pre>"
