"""OpenAI's wire, field by field; its own client is in tests/clients."""

import base64

import numpy as np
import pytest

import siftline
from tests.integration.http.conftest import Ask
from tests.running.stack import RunningStack

TEXTS = ["how are batches formed?", "by tokens", "日本語のテキスト"]


def test_vectors_are_those_of_grpc_in_both_encodings(ask: Ask, shared_stack: RunningStack) -> None:
    with siftline.Client(shared_stack.endpoints["gateway"]) as client:
        expected = client.embed(TEXTS)
    for path in ("/v1/embeddings", "/embeddings"):
        plain = ask(path, {"input": TEXTS, "model": "any"})
        packed = ask(path, {"input": TEXTS, "model": "any", "encoding_format": "base64", "user": "me"})
        assert (plain.status, packed.status) == (200, 200)
        floats = np.array([item["embedding"] for item in plain.body["data"]], np.float32)
        bits = np.stack([np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in packed.body["data"]])
        assert np.array_equal(floats, expected)
        assert np.array_equal(bits, expected)
        assert [item["index"] for item in plain.body["data"]] == [0, 1, 2]
        assert {item["object"] for item in plain.body["data"]} == {"embedding"}
        assert plain.body["object"] == "list"
        assert plain.body["model"] == "all-minilm-l6-v2"
        assert plain.body["usage"]["prompt_tokens"] == plain.body["usage"]["total_tokens"] > 10


def test_input_may_be_one_text_or_token_ids(ask: Ask) -> None:
    def vector(given: object) -> object:
        answer = ask("/v1/embeddings", {"input": given, "model": ""})
        assert answer.status == 200, answer.body
        return answer.body["data"][0]["embedding"]

    text = "how are batches formed?"
    tokens = ask("/tokenize", {"inputs": text}).body[0]
    ids = [token["id"] for token in tokens]
    expected = vector(text)
    assert vector([text]) == vector(ids) == vector([ids]) == expected


@pytest.mark.parametrize("ids", [[9906, 289, 9603], [[15339, 1917]], [99_999], [-1], [2**40]])
def test_ids_of_another_vocabulary_are_not_taken_for_ours(ask: Ask, ids: object) -> None:
    """langchain-openai sends OpenAI's by default; their vectors would mean nothing, and nobody would see it."""
    answer = ask("/v1/embeddings", {"input": ids, "model": "x"})
    assert answer.status == 400
    assert answer.body["error"]["param"].startswith("input")


def test_dimensions_shorten_and_normalise(ask: Ask) -> None:
    whole = ask("/v1/embeddings", {"input": "a", "model": ""}).body["data"][0]["embedding"]
    short = ask("/v1/embeddings", {"input": "a", "model": "", "dimensions": 64}).body["data"][0]["embedding"]
    head = np.array(whole[:64], np.float32)
    assert np.allclose(short, head / np.linalg.norm(head), atol=1e-6)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": []}, 400, "input"),
        ({"input": ""}, 400, "input[0]"),
        ({"input": ["a", ""]}, 400, "input[1]"),
        ({"input": ["a"] * 2049}, 422, "input"),
        ({"input": ["a", 1]}, 400, "input"),
        ({"input": 1}, 400, "input"),
        ({"input": [1.5]}, 400, "input[0]"),
        ({}, 400, "input"),
        ([], 400, "body"),
        (b"{", 400, "body"),
        ({"input": "a", "encoding_format": "hex"}, 400, "encoding_format"),
        ({"input": "a", "dimensions": 0}, 400, "dimensions"),
        ({"input": "a", "dimensions": 385}, 400, "dimensions"),
        ({"input": "a", "dimensions": "64"}, 400, "dimensions"),
        (b'{"input": "' + b"a" * (16 << 20) + b'"}', 413, "body"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_errors_are_nested_for_openai_and_flat_for_tei(ask: Ask, body: object, status: int, param: str) -> None:
    answer = ask("/v1/embeddings", body)
    assert answer.status == status, answer.body
    nested = answer.body["error"]
    assert nested["param"] == param
    assert nested["type"] == answer.body["type"] == "invalid_request_error"
    assert nested["message"] == answer.body["message"]
    assert nested["code"]
    assert answer.body["code"] == status
    assert answer.headers["x-request-id"]


def test_models(ask: Ask) -> None:
    for path in ("/v1/models", "/models"):
        body = ask(path).body
        assert body["object"] == "list"
        assert [model["id"] for model in body["data"]] == ["all-minilm-l6-v2", "siftline-minilm-l6-reranker"]
    assert ask("/v1/models/all-minilm-l6-v2").body["object"] == "model"
    assert ask("/v1/models/gpt").status == 404
