"""TEI as it behaves, every trap of it; where its documentation says otherwise, that is what is not done."""

import numpy as np
import pytest

from tests.integration.http.conftest import Ask

QUERY = "What is the capital of France?"
PASSAGES = ["Bananas are yellow.", "Paris is the capital of France.", "Berlin is the capital of Germany."]
LONG = "word " * 600


def test_embed_is_a_list_of_vectors_also_for_one_text(ask: Ask) -> None:
    one, two = ask("/embed", {"inputs": "a text"}), ask("/embed", {"inputs": ["a text", "another"]})
    assert (len(one.body), len(two.body)) == (1, 2)
    assert one.body[0] == two.body[0]
    assert np.isclose(np.linalg.norm(one.body[0]), 1.0, atol=1e-3)
    ids = [token["id"] for token in ask("/tokenize", {"inputs": "a text"}).body[0]]
    assert ask("/embed", {"inputs": ids}).body == ask("/embed", {"inputs": [ids]}).body == one.body
    assert len(ask("/embed", {"inputs": "a", "dimensions": 32}).body[0]) == 32
    # Haystack sends it by default.
    assert ask("/embed", {"inputs": "a text", "normalize": False}).body == one.body


def test_headers_say_what_it_took(ask: Ask) -> None:
    headers = ask("/embed", {"inputs": ["four", "more words"]}).headers
    assert headers["x-compute-type"] == "gpu+optimized"
    assert headers["x-compute-characters"] == "14"
    assert headers["x-compute-tokens"] == "7"
    for name in ("compute-time", "total-time", "tokenization-time", "queue-time", "inference-time"):
        assert headers[f"x-{name}"].isdigit()


def test_what_is_too_long_is_cut_unless_that_is_forbidden(ask: Ask) -> None:
    assert ask("/embed", {"inputs": LONG}).status == 200
    assert ask("/embed", {"inputs": LONG, "truncate": True}).status == 200
    refused = ask("/embed", {"inputs": LONG, "truncate": False})
    assert (refused.status, refused.body["error_type"]) == (422, "Validation")
    sides = [
        ask("/embed", {"inputs": "begin " + LONG + "end", "truncation_direction": side}) for side in ("Left", "right")
    ]
    assert [side.status for side in sides] == [200, 200]
    assert sides[0].body != sides[1].body


def test_rerank_is_a_bare_list_best_first(ask: Ask) -> None:
    body = ask("/rerank", {"query": QUERY, "texts": PASSAGES}).body
    assert [set(rank) for rank in body] == [{"index", "score"}] * 3
    assert [rank["score"] for rank in body] == sorted((rank["score"] for rank in body), reverse=True)
    assert body[0]["index"] == 1
    assert 0 < body[2]["score"] < body[0]["score"] < 1
    raw = ask("/rerank", {"query": QUERY, "texts": PASSAGES, "raw_scores": True, "return_text": True}).body
    assert raw[0]["text"] == PASSAGES[1]
    assert np.isclose(1 / (1 + np.exp(-raw[0]["score"])), body[0]["score"])
    assert ask("/rerank", {"query": QUERY, "texts": PASSAGES, "truncation_direction": "Left"}).status == 422


def test_predict_scores_pairs(ask: Ask) -> None:
    ranks = {rank["index"]: rank["score"] for rank in ask("/rerank", {"query": QUERY, "texts": PASSAGES}).body}
    pairs = [[QUERY, passage] for passage in PASSAGES]
    expected = [[{"score": ranks[index], "label": "LABEL_0"}] for index in range(3)]
    assert ask("/predict", {"inputs": pairs}).body == expected
    assert ask("/predict", {"inputs": pairs[0]}).body == expected[0]
    alone = ask("/predict", {"inputs": "one text"})
    assert (alone.status, alone.body["error_type"]) == (424, "Backend")
    assert ask("/predict", {"inputs": [["a", "b", "c"]]}).status == 422


def test_similarity(ask: Ask) -> None:
    inputs = {"source_sentence": "a cat", "sentences": ["a cat", "the stock market"]}
    same, other = ask("/similarity", {"inputs": inputs}).body
    assert np.isclose(same, 1.0, atol=1e-3)
    assert other < 0.5
    assert ask("/", {"inputs": inputs}).body == [same, other]


def test_tokens_there_and_back(ask: Ask) -> None:
    (tokens,) = ask("/tokenize", {"inputs": "Grüße tokenization"}).body
    assert tokens[0] == {"id": 101, "text": "[CLS]", "special": True}
    assert "".join(token["text"] for token in tokens[1:-1]) == "Grüßetokenization"
    assert [tokens[1]["start"], tokens[-2]["stop"]] == [0, 18]
    bare = ask("/tokenize", {"inputs": ["a"], "add_special_tokens": False}).body
    assert [len(each) for each in bare] == [1]
    ids = [token["id"] for token in tokens]
    assert ask("/decode", {"ids": ids}).body == ask("/decode", {"ids": [ids]}).body == ["gruße tokenization"]
    assert ask("/decode", {"ids": ids, "skip_special_tokens": False}).body[0].startswith("[CLS]")
    for wrong in ({"ids": [40_000]}, {"ids": [-1]}, {"ids": [1, [2]]}, {"inputs": "a", "prompt_name": "nope"}):
        assert ask("/decode" if "ids" in wrong else "/tokenize", wrong).status == 422


def test_root_by_the_shape_of_the_body(ask: Ask) -> None:
    """huggingface_hub posts to the URL itself."""
    assert ask("/", {"inputs": "a text"}).body == ask("/embed", {"inputs": "a text"}).body
    assert (
        ask("/", {"query": QUERY, "texts": PASSAGES}).body == ask("/rerank", {"query": QUERY, "texts": PASSAGES}).body
    )


def test_facts(ask: Ask) -> None:
    info = ask("/info").body
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    assert info["max_input_length"] == 256
    assert info["auto_truncate"] is True
    assert ask("/info?model=siftline-minilm-l6-reranker").body["model_type"]["reranker"]["id2label"] == {"0": "LABEL_0"}
    for path in ("/health", "/ping"):
        assert (ask(path).status, ask(path).body) == (200, b"")
    assert b"siftline_http_requests_total" in ask("/metrics").body


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "words"),
    [
        ("/embed", {"inputs": []}, 400, "Empty", "`inputs` cannot be empty"),
        ("/embed", {"inputs": ""}, 400, "Empty", "`inputs` cannot be empty"),
        ("/embed", {"inputs": ["a", ""]}, 400, "Empty", "`inputs` cannot be empty"),
        ("/rerank", {"query": QUERY, "texts": []}, 400, "Empty", "`texts` cannot be empty"),
        ("/embed", {"inputs": ["a"] * 2049}, 422, "Validation", "batch size 2049 > maximum allowed batch size 2048"),
        ("/rerank", {"query": "a", "texts": ["a"] * 1025}, 422, "Validation", "batch size 1025 > maximum"),
        ("/embed", {"inputs": "a", "prompt_name": "nope"}, 422, "Validation", "nope"),
        ("/embed", {"inputs": 1}, 422, "Validation", "inputs"),
        ("/embed", {}, 422, "Validation", "inputs"),
        ("/embed", b"{", 400, "Validation", "JSON"),
        ("/embed_sparse", {"inputs": "a"}, 424, "Backend", "sparse"),
        ("/embed_all", {"inputs": "a"}, 424, "Backend", "each token"),
        ("/embed", b'"' + b"a" * (16 << 20) + b'"', 413, "Validation", "limit"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_errors(ask: Ask, path: str, body: object, status: int, kind: str, words: str) -> None:
    answer = ask(path, body)
    assert answer.status == status, answer.body
    assert set(answer.body) == {"error", "error_type"}
    assert answer.body["error_type"] == kind
    assert words in answer.body["error"]
