"""Bad input: the canonical code, a message with field and limit, and the next request works."""

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2

TEN_MEGABYTES = "a" * (10 << 20)
INVALID = grpc.StatusCode.INVALID_ARGUMENT

EMBED = {
    "an output of other models": ({"texts": ["a"], "outputs": [2]}, INVALID, "outputs: OUTPUT_SPARSE is not made by"),
    "unknown output": ({"texts": ["a"], "outputs": [9]}, INVALID, "outputs: 9"),
    "no texts": ({"texts": []}, INVALID, "texts: empty"),
    "empty text": ({"texts": ["a", ""]}, INVALID, "texts[1]: empty"),
    "10 MB text": ({"texts": [TEN_MEGABYTES]}, INVALID, "texts[0]: 10485760 bytes; the limit is 1048576"),
    "100,000 texts": ({"texts": ["a"] * 100_000}, INVALID, "texts: 100000 items; the limit is 2048"),
    "unknown model": ({"texts": ["a"], "model": "nope"}, grpc.StatusCode.NOT_FOUND, "'nope'"),
    "unknown prompt": ({"texts": ["a"], "prompt_name": "nope"}, INVALID, "prompt_name: 'nope'"),
    "long prompt": ({"texts": ["a"], "prompt_text": "a" * 5000}, INVALID, "prompt_text: 5000 bytes; the limit is 4096"),
    "unknown dtype": ({"texts": ["a"], "dtype": 99}, INVALID, "dtype: 99"),
    "unknown side": ({"texts": ["a"], "side": 99}, INVALID, "side: 99"),
    "unknown priority": ({"texts": ["a"], "priority": 99}, INVALID, "priority: 99"),
    "unknown truncation": ({"texts": ["a"], "truncation": 99}, INVALID, "truncation: 99"),
    "dimensions above": ({"texts": ["a"], "dimensions": 385}, INVALID, "dimensions: 385"),
    "long text, no cutting": ({"texts": ["a " * 999], "truncation": 1}, INVALID, "texts[0]: 1001 tokens"),
}
RERANK = {
    "no query": ({"passages": ["a"]}, INVALID, "query: empty"),
    "no passages": ({"query": "a"}, INVALID, "passages: empty"),
    "too many": ({"query": "a", "passages": ["b"] * 100_000}, INVALID, "passages: 100000 items; the limit is 1024"),
    "10 MB passage": ({"query": "a", "passages": [TEN_MEGABYTES]}, INVALID, "passages[0]: 10485760 bytes"),
    "10 MB query": ({"query": TEN_MEGABYTES, "passages": ["b"]}, INVALID, "query: 10485760 bytes"),
    "unknown order": ({"query": "a", "passages": ["b"], "order": 9}, INVALID, "order: 9"),
    "unknown model": ({"query": "a", "passages": ["b"], "model": "x"}, grpc.StatusCode.NOT_FOUND, "'x'"),
    "no share": ({"query": "a", "passages": ["b"], "max_query_unknown": 1.5}, INVALID, "max_query_unknown: 1.5"),
    "too many windows": ({"query": "a", "passages": ["b " * 500_000] * 9}, INVALID, "passages: "),
    "no cutting": ({"query": "a", "passages": ["b " * 999], "long_passage": 3}, INVALID, "passages[0]: 999 tokens"),
}
# Odd, but text: answered like any other.
ODD = ["nul \0 inside", "\ufeffbom", "\u202eright to left", "e\u0301", "\U0001f600" * 50, " ", "\n\t", "[SEP] [CLS]"]


@pytest.mark.parametrize("case", EMBED)
def test_embed_says_what_is_wrong(embed, case) -> None:
    fields, code, words = EMBED[case]
    _refused(lambda: embed.Embed(embed_pb2.EmbedRequest(**fields)), code, words)
    assert embed.Embed(embed_pb2.EmbedRequest(texts=["next"])).count == 1


@pytest.mark.parametrize("case", RERANK)
def test_rerank_says_what_is_wrong(rerank, case) -> None:
    fields, code, words = RERANK[case]
    _refused(lambda: rerank.Rerank(rerank_pb2.RerankRequest(**fields)), code, words)
    assert len(rerank.Rerank(rerank_pb2.RerankRequest(query="a", passages=["next"])).results) == 1


def test_odd_texts_are_texts(embed, rerank) -> None:
    assert embed.Embed(embed_pb2.EmbedRequest(texts=ODD)).count == len(ODD)
    assert len(rerank.Rerank(rerank_pb2.RerankRequest(query=ODD[0], passages=ODD)).results) == len(ODD)


@pytest.mark.parametrize("text", [b"\xff\xfe", b"a\xed\xa0\x80b"], ids=["invalid UTF-8", "lone surrogate"])
def test_bytes_that_are_no_text_are_an_invalid_argument(embed_service, text) -> None:
    message = b"\x12" + bytes([len(text)]) + text  # field 2, texts
    with grpc.insecure_channel(embed_service.address) as channel:
        call = channel.unary_unary("/siftline.embed.v1.EmbedService/Embed")
        _refused(lambda: call(message), INVALID, "siftline.embed.v1.EmbedRequest")


def _refused(call, code: grpc.StatusCode, words: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is code, caught.value.details()
    assert words in caught.value.details()
    details = rpc_status.from_call(caught.value).details
    info = error_details_pb2.ErrorInfo()
    assert details[0].Unpack(info)
    assert info.domain == "siftline"
