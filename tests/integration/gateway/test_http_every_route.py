"""What holds for every operation whatever its dialect: keys, scopes, quotas, deadlines, priorities, request ids."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from serving.errors import Internal
from siftline.embed.v1 import embed_pb2
from tests.fakes.services import FakeEmbed, FakeRerank
from tests.integration.gateway.conftest import Gateway, Gateways
from tests.integration.gateway.test_gateway_keys import ALL, entry
from tests.integration.gateway.test_http_own import ask
from tests.running import http
from tests.running.redis_server import RedisServer

RANKED = {"query": "a question", "documents": ["a passage"]}
TEI_RANKED = {"query": "a question", "texts": ["a passage"]}
NIM_RANKED = {"query": {"text": "a question"}, "passages": [{"text": "a passage"}]}
DOCUMENTS = {"documents": [{"id": "x", "text": "a text"}]}
EMBED: dict[str, Any] = {
    "POST /v1/embeddings": {"input": "a text"},
    "POST /embeddings": {"input": "a text"},
    "POST /v1/embed": {"texts": ["a text"]},
    "POST /v2/embed": {"texts": ["a text"]},
    "POST /embed": {"inputs": "a text"},
    "POST /similarity": {"inputs": {"source_sentence": "a text", "sentences": ["another"]}},
    "POST /": {"inputs": "a text"},
    "POST /invocations": {"inputs": "a text"},
}
RERANK: dict[str, Any] = {
    "POST /v1/rerank": RANKED,
    "POST /v2/rerank": RANKED,
    "POST /rerank": TEI_RANKED,
    "POST /predict": {"inputs": [["a question", "a passage"]]},
    "POST /v1/ranking": NIM_RANKED,
    "POST /ranking": NIM_RANKED,
}
# No text is computed for these.
OTHER: dict[str, tuple[str, Any]] = {
    "POST /embed_sparse": ("embed", {"inputs": "a text"}),
    "POST /embed_all": ("embed", {"inputs": "a text"}),
    "POST /tokenize": ("embed", {"inputs": "a text"}),
    "POST /decode": ("embed", {"ids": [1]}),
    "GET /v1/models": ("", None),
    "GET /models": ("", None),
    "GET /v1/models/{model}": ("", None),
    "GET /info": ("", None),
    "GET /metrics": ("", None),
    "POST /v1/search": ("search", {"collection": "c", "query": "a text"}),
    "GET /v1/collections": ("search", None),
    "POST /v1/collections": ("admin", {"name": "c"}),
    "GET /v1/collections/{collection}": ("search", None),
    "DELETE /v1/collections/{collection}": ("admin", None),
    "POST /v1/collections/{collection}/documents": ("write", DOCUMENTS),
    "POST /v1/collections/{collection}/documents/get": ("search", {"ids": ["x"]}),
    "POST /v1/collections/{collection}/documents/delete": ("write", {"ids": ["x"]}),
    "POST /v1/collections/{collection}/documents/count": ("search", {}),
    "POST /v1/collections/{collection}/reindex": ("admin", {}),
    "PUT /v1/collections/{collection}/calibration": ("admin", {"recall_weight": 1}),
}
OPEN = {"GET /", "GET /page/{file}", "GET /health", "GET /ping", "GET /v1/health/ready", "GET /v1/health/live"}
TEI = {"/embed", "/embed_sparse", "/embed_all", "/similarity", "/rerank", "/predict", "/", "/invocations"}
TEI |= {"/tokenize", "/decode", "/info", "/metrics"}

SCOPES = dict.fromkeys(EMBED, "embed") | dict.fromkeys(RERANK, "rerank")
SCOPES |= {route: scope for route, (scope, _) in OTHER.items()}
BODIES = EMBED | RERANK | {route: body for route, (_, body) in OTHER.items()}
KEYS = {f"only-{scope}": "" for scope in ALL} | {"few": "requests_per_second = 0.001", "none": ""}


@pytest.fixture
async def keyed(gateways: Gateways, redis_server: RedisServer, tmp_path: Path) -> Gateway:
    file = tmp_path / "keys.toml"
    scopes = {name: ALL for name in KEYS} | {f"only-{scope}": (scope,) for scope in ALL} | {"none": ()}
    entries = [entry(name, *scopes[name], more=more).replace('"k"', f'"{name}"') for name, more in KEYS.items()]
    file.write_text("".join(entries))
    gateway = await gateways.start(redis_server.url, keys_file=file)
    await gateway.until_ready()
    return gateway


async def send(gateway: Gateway, route: str, body: Any = ..., **headers: str) -> http.Answer:
    method, _, path = route.partition(" ")
    path = path.replace("{collection}", "c").replace("{model}", "fake")
    sent = BODIES[route] if body is ... else body
    return http.Answer(*await ask(gateway, method, path, sent, **headers))


async def everywhere(routes: Any, answer: Callable[[str], Awaitable[Any]]) -> dict[str, Any]:
    """What comes of each route, by route: so a failure shows all that differ."""
    return {route: await answer(route) for route in routes}


async def test_no_operation_is_left_out(gateway: Gateway) -> None:
    status, document, _ = await ask(gateway, "GET", "/openapi.json")
    assert status == 200
    found = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert found == set(BODIES) | OPEN


async def test_nothing_is_answered_without_a_key(keyed: Gateway) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"x_api_key": "wrong"}, {"authorization": "Basic eDp5"}):
        answers = await everywhere(BODIES, lambda route, sent=headers: send(keyed, route, **sent))  # type: ignore[misc]
        assert {route: answer.status for route, answer in answers.items()} == dict.fromkeys(BODIES, 401)
        empty = {route for route, answer in answers.items() if not answer.body}
        assert empty == {route for route in BODIES if route.partition(" ")[2] in TEI}
        assert all(answer.headers["www-authenticate"] == "Bearer" for answer in answers.values())


async def test_a_key_opens_what_it_is_for(keyed: Gateway) -> None:
    async def opened(route: str) -> set[str]:
        """Scopes with which it is answered, whatever the answer."""
        return {
            scope
            for scope in ("none", *ALL)
            if (await send(keyed, route, x_api_key=f"only-{scope}".replace("only-none", "none"))).status != 403
        }

    for route, scopes in (await everywhere(BODIES, opened)).items():
        wanted = SCOPES[route]
        assert scopes == ({wanted} if wanted else {"none", *ALL}), route


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "Bearer {}"}, {"authorization": "bearer {}"}, {"authorization": "{}"}, {"x_api_key": "{}"}],
    ids=lambda value: "-".join(value.values()),
)
async def test_every_way_to_send_a_key(keyed: Gateway, headers: dict[str, str]) -> None:
    for routes, secret in ((EMBED, "only-embed"), (RERANK, "only-rerank")):
        sent = {name: value.format(secret) for name, value in headers.items()}
        answers = await everywhere(routes, lambda route, sent=sent: send(keyed, route, **sent))  # type: ignore[misc]
        assert {route: answer.status for route, answer in answers.items()} == dict.fromkeys(routes, 200)


async def test_quotas_hold_in_every_dialect(keyed: Gateway) -> None:
    computed = {**EMBED, **RERANK}
    await send(keyed, "POST /embed", x_api_key="few")  # the one that it has
    answers = await everywhere(computed, lambda route: send(keyed, route, x_api_key="few"))
    assert {route: answer.status for route, answer in answers.items()} == dict.fromkeys(computed, 429)
    for answer in answers.values():
        assert 0 < int(answer.headers["retry-after"]) <= 1000
        assert int(answer.headers["retry-after-ms"]) <= int(answer.headers["retry-after"]) * 1000


async def test_deadline_priority_and_request_id_reach_the_service(gateway: Gateway) -> None:
    async def arrived(route: str, service: FakeEmbed | FakeRerank) -> tuple[Any, ...]:
        service.priority, service.seconds_left = 0, 0.0
        headers = {"x_request_timeout_ms": "5000", "x_priority": "bulk", "x_request_id": route.replace(" ", "")}
        answer = await send(gateway, route, _fresh(BODIES[route], route), **headers)
        in_time = 0 < service.seconds_left < 6.0  # of 30 by default; gRPC rounds it up
        return answer.status, service.priority, in_time, answer.headers["x-request-id"] == route.replace(" ", "")

    wanted = (200, embed_pb2.PRIORITY_BULK, True, True)
    for routes, service in ((EMBED, gateway.embed), (RERANK, gateway.rerank)):
        found = await everywhere(routes, lambda route, service=service: arrived(route, service))  # type: ignore[misc]
        assert found == dict.fromkeys(routes, wanted)


def _fresh(body: Any, route: str) -> Any:
    """The same with texts that no cache knows."""
    if isinstance(body, str):
        return f"{body} {route}"
    if isinstance(body, list):
        return [_fresh(item, route) for item in body]
    return {name: _fresh(value, route) for name, value in body.items()} if isinstance(body, dict) else body


@pytest.mark.parametrize(
    "wrong", [{"x_request_timeout_ms": "0"}, {"x_request_timeout_ms": "soon"}, {"x_priority": "x"}]
)
async def test_wrong_headers_are_named_everywhere(gateway: Gateway, wrong: dict[str, str]) -> None:
    (name,) = (header.replace("_", "-") for header in wrong)
    answers = await everywhere(BODIES, lambda route: send(gateway, route, **wrong))
    told = {route: (answer.status, name in str(answer.body)) for route, answer in answers.items()}
    assert told == {route: (422 if route.partition(" ")[2] in TEI else 400, True) for route in BODIES}


async def test_what_is_late_is_504_everywhere(gateway: Gateway) -> None:
    gateway.embed.faults.delay = gateway.rerank.faults.delay = 5.0
    computed = {**EMBED, **RERANK}

    async def late(route: str) -> http.Answer:
        return await send(gateway, route, _fresh(BODIES[route], route), x_request_timeout_ms="30")

    answers = await everywhere(computed, late)
    assert {route: answer.status for route, answer in answers.items()} == dict.fromkeys(computed, 504)


async def test_a_fault_of_the_model_is_424_in_tei_and_500_elsewhere(gateway: Gateway) -> None:
    gateway.embed.faults.error = gateway.rerank.faults.error = Internal("NaN")
    computed = {**EMBED, **RERANK}
    answers = await everywhere(computed, lambda route: send(gateway, route, _fresh(BODIES[route], route)))
    wanted = {route: 424 if route.partition(" ")[2] in TEI else 500 for route in computed}
    assert {route: answer.status for route, answer in answers.items()} == wanted
    assert answers["POST /embed"].body["error_type"] == "Backend"


async def test_without_a_reranker_tei_says_424_and_the_others_503(
    gateways: Gateways, redis_server: RedisServer
) -> None:
    gateway = await gateways.start(redis_server.url, rerank="")
    await gateway.until_ready()
    answers = await everywhere(RERANK, lambda route: send(gateway, route))
    wanted = {route: 424 if route.partition(" ")[2] in TEI else 503 for route in RERANK}
    assert {route: answer.status for route, answer in answers.items()} == wanted
    refused = {"error": "model is not a re-ranker model", "error_type": "Backend"}
    assert answers["POST /rerank"].body == answers["POST /predict"].body == refused
    infinity = await send(gateway, "POST /rerank", RANKED)
    assert (infinity.status, infinity.body["error"]["type"]) == (503, "server_error")
    assert [model["id"] for model in (await send(gateway, "GET /v1/models")).body["data"]] == ["fake"]
