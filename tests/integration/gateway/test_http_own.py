"""Our own API as JSON, over real HTTP."""

import asyncio
from typing import Any

from tests.integration.gateway.conftest import Gateway
from tests.running import http


async def ask(
    gateway: Gateway, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    answer = await asyncio.to_thread(http.ask, gateway.url + path, body, method, **headers)
    return answer.status, answer.body, answer.headers


async def test_a_collection_from_making_to_dropping(gateway: Gateway) -> None:
    fields = [{"name": "lang", "type": "tag"}]
    status, made, _ = await ask(gateway, "POST", "/v1/collections", {"name": "notes", "fields": fields})
    assert (status, made["collection"]["fields"], made["collection"]["count"]) == (200, fields, 0)

    documents = [
        {"id": "1", "text": "batches are formed by tokens", "metadata": {"lang": "en", "n": 1}},
        {"id": "2", "text": "ein anderer Text", "metadata": {"lang": "de"}},
    ]
    status, stored, _ = await ask(gateway, "POST", "/v1/collections/notes/documents", {"documents": documents})
    assert (status, stored["upserted"], stored["errors"]) == (200, 2, [])

    query = {"collection": "notes", "query": "how are batches formed?", "filter": 'lang = "en"', "top_k": 3}
    status, found, headers = await ask(gateway, "POST", "/v1/search", query, x_request_id="mine")
    assert status == 200
    assert headers["x-request-id"] == "mine"
    assert [hit["id"] for hit in found["hits"]] == ["1"]
    assert found["hits"][0]["metadata"] == {"lang": "en", "n": 1}
    assert found["degraded"] == []
    assert found["timings"]["total_us"] > 0

    assert (await ask(gateway, "POST", "/v1/collections/notes/documents/count", {}))[1] == {"count": 2}
    got = (await ask(gateway, "POST", "/v1/collections/notes/documents/get", {"ids": ["2", "9"]}))[1]
    assert [document["text"] for document in got["documents"]] == ["ein anderer Text"]
    assert (await ask(gateway, "POST", "/v1/collections/notes/documents/delete", {"ids": ["2"]}))[1] == {"deleted": 1}
    listed = (await ask(gateway, "GET", "/v1/collections"))[1]["collections"]
    assert [(each["name"], each["count"]) for each in listed] == [("notes", 1)]
    assert (await ask(gateway, "DELETE", "/v1/collections/notes"))[0] == 200
    status, error, _ = await ask(gateway, "GET", "/v1/collections/notes")
    assert (status, error["error"]["reason"]) == (404, "NOT_FOUND")


async def test_what_is_wrong_is_named(gateway: Gateway) -> None:
    async def wrong(path: str, body: Any) -> tuple[int, str, str]:
        status, reply, _ = await ask(gateway, "POST", path, body)
        error = reply["error"]
        return status, error.get("field", ""), error["message"]

    search = {"collection": "notes", "query": "x"}
    assert (await wrong("/v1/search", {**search, "topk": 3}))[:2] == (400, "topk")
    assert (await wrong("/v1/search", {**search, "top_k": "3"}))[:2] == (400, "top_k")
    assert (await wrong("/v1/search", {**search, "top_k": 2**40}))[:2] == (400, "top_k")
    assert (await wrong("/v1/search", {**search, "rerank": "maybe"}))[:2] == (400, "rerank")
    assert (await wrong("/v1/search", {**search, "return_fields": "title"}))[:2] == (400, "return_fields")
    assert (await wrong("/v1/search", []))[:2] == (400, "body")
    assert (await wrong("/v1/search", b"{"))[:2] == (400, "body")
    assert (await wrong("/v1/search", b'{"query": "\xff"}'))[:2] == (400, "body")
    assert (await wrong("/v1/search", b"[" * 1_000_000))[:2] == (400, "body")
    nested = {"documents": [{"id": "1", "text": "x", "metadata": {"a": 1}}, {"id": 2}]}
    assert (await wrong("/v1/collections/notes/documents", nested))[:2] == (400, "documents[1].id")
    assert (await wrong("/v1/nowhere", {}))[0] == 404
    assert (await ask(gateway, "PATCH", "/v1/search", {}))[0] == 405


async def test_the_document_and_the_page_need_nothing_from_elsewhere(gateway: Gateway) -> None:
    status, document, _ = await ask(gateway, "GET", "/openapi.json")
    assert status == 200
    assert document["paths"]["/v1/search"]["post"]["requestBody"]
    status, page, headers = await ask(gateway, "GET", "/docs")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"/v1/search" in page
    assert b"http://" not in page.replace(b"http://json-schema", b"")
    assert b"https://" not in page
    assert (await ask(gateway, "GET", "/health"))[:2] == (200, b"")
