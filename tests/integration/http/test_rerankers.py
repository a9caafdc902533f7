"""Rerank as Cohere, Jina, infinity and NIM have it."""

import base64
import itertools

import numpy as np
import pytest

import siftline
from tests.integration.http.conftest import Ask
from tests.running.stack import RunningStack

QUERY = "What is the capital of France?"
PASSAGES = ["Bananas are yellow.", "Paris is the capital of France.", "Berlin is the capital of Germany."]


@pytest.fixture(scope="module")
def scores(shared_stack: RunningStack) -> dict[int, tuple[float, float]]:
    """Logit and score by index, from gRPC."""
    with siftline.Client(shared_stack.endpoints["gateway"]) as client:
        return {each.index: (each.logit, each.score) for each in client.rerank(QUERY, PASSAGES)}


Scores = dict[int, tuple[float, float]]


def test_cohere_1_and_jina(ask: Ask, scores: Scores) -> None:
    asked = {"query": QUERY, "documents": [PASSAGES[0], {"text": PASSAGES[1]}, PASSAGES[2]], "model": "x"}
    body = ask("/v1/rerank", asked).body
    found = [(each["index"], each["relevance_score"]) for each in body["results"]]
    assert found == [(index, scores[index][1]) for index, _ in found]
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert found[0][0] == 1
    assert "document" not in body["results"][0]
    assert body["object"] == "list"
    assert body["model"] == "siftline-minilm-l6-reranker"
    assert body["usage"]["total_tokens"] > 0
    assert body["meta"]["billed_units"]["search_units"] == 1
    best = ask("/v1/rerank", {**asked, "top_n": 1, "return_documents": True}).body["results"]
    assert [each["document"] for each in best] == [{"text": PASSAGES[1]}]


def test_cohere_1_ranks_the_fields_that_are_named(ask: Ask, scores: Scores) -> None:
    documents = [{"title": "x", "body": passage} for passage in PASSAGES]
    body = ask("/v1/rerank", {"query": QUERY, "documents": documents, "rank_fields": ["body"]}).body
    assert {each["index"]: each["relevance_score"] for each in body["results"]} == {
        index: score for index, (_, score) in scores.items()
    }
    assert ask("/v1/rerank", {"query": QUERY, "documents": documents}).status == 400


def test_cohere_2_echoes_no_document(ask: Ask) -> None:
    asked = {"query": QUERY, "documents": PASSAGES, "model": "x", "top_n": 2, "return_documents": True, "priority": 5}
    body = ask("/v2/rerank", {**asked, "max_tokens_per_doc": 4096}).body
    assert [set(each) for each in body["results"]] == [{"index", "relevance_score"}] * 2
    assert body["id"]


def test_infinity_by_the_shape_of_its_body(ask: Ask, scores: Scores) -> None:
    asked = {"query": QUERY, "documents": PASSAGES, "model": "x", "return_documents": True, "raw_scores": True}
    body = ask("/rerank", asked).body
    assert body["object"] == "rerank"
    assert body["results"][0] == {"index": 1, "relevance_score": scores[1][0], "document": PASSAGES[1]}
    assert body["usage"]["total_tokens"] > 0
    refused = ask("/rerank", {"query": "", "documents": PASSAGES})
    assert refused.status == 400
    assert refused.body["error"]["param"] == "query"


def test_nim_gives_logits(ask: Ask, scores: Scores) -> None:
    asked = {"model": "x", "query": {"text": QUERY}, "passages": [{"text": passage} for passage in PASSAGES]}
    for path in ("/v1/ranking", "/ranking"):
        body = ask(path, {**asked, "truncate": "END"}).body
        assert body["rankings"][0] == {"index": 1, "logit": scores[1][0]}
        assert len(body["rankings"]) == 3
    assert ask("/v1/health/ready").body == {"object": "health.response", "message": "ready", "ready": True}
    assert ask("/v1/ranking", {**asked, "truncate": "MIDDLE"}).status == 400


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"documents": []}, 400),
        ({"query": ""}, 400),
        ({"query": None}, 400),
        ({"documents": "text"}, 400),
        ({"documents": [{"id": "1"}]}, 400),
        ({"top_n": 0}, 400),
        ({"documents": ["x"] * 1025}, 422),
    ],
    ids=repr,
)
def test_errors_serve_cohere_and_jina(ask: Ask, path: str, change: dict[str, object], status: int) -> None:
    answer = ask(path, {"model": "x", "query": QUERY, "documents": PASSAGES, **change})
    assert answer.status == status, answer.body
    assert answer.body["message"] == answer.body["detail"]
    assert next(iter(change)) in answer.body["message"]


def test_cohere_embed(ask: Ask) -> None:
    texts = ["one", "another text"]
    asked = {"model": "x", "texts": texts, "input_type": "search_document"}
    floats = np.array(ask("/v1/embed", asked).body["embeddings"], np.float32)
    assert floats.shape == (2, 384)
    every = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    body = ask("/v2/embed", {**asked, "embedding_types": every}).body
    found = body["embeddings"]
    assert body["texts"] == texts
    assert np.array_equal(np.array(found["float"], np.float32), floats)
    assert np.array_equal(np.array(found["int8"]), np.clip(np.rint(floats * 127), -127, 127))
    assert np.array_equal(np.array(found["uint8"]), np.array(found["int8"]) + 128)
    assert np.array_equal(np.array(found["ubinary"]), np.packbits(floats > 0, axis=1))
    assert np.array_equal(np.array(found["binary"]), np.array(found["ubinary"]).astype(int) - 128)
    assert np.array_equal(np.frombuffer(base64.b64decode(found["base64"][1]), "<f4"), floats[1])
    one = ask("/v1/embed", {**asked, "embedding_types": ["int8"]}).body
    assert (one["response_type"], set(one["embeddings"])) == ("embeddings_by_type", {"int8"})
    assert set(ask("/v2/embed", asked).body["embeddings"]) == {"float"}
    for wrong in ({"input_type": "image"}, {"embedding_types": ["hex"]}, {"truncate": "MIDDLE"}, {"texts": []}):
        assert ask("/v2/embed", {**asked, **wrong}).status == 400
    long = {**asked, "texts": [" ".join(itertools.repeat("word", 1000))], "truncate": "NONE"}
    assert ask("/v2/embed", long).status == 422
    assert ask("/v2/embed", {**long, "truncate": "START"}).status == 200
