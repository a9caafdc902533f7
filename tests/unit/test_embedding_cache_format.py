"""Keys and values of the embedding cache."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.embedder import row_bytes
from gateway.embedding_key import digest_key, keys_of
from gateway.embedding_value import Row, decode, encode
from siftline.embed.v1 import embed_pb2

MODEL = embed_pb2.GetModelResponse(fingerprint="f1", dimensions=8, prompts={"q": "ask: "}, default_query_prompt="q")


def key(text: str = "x", model: embed_pb2.GetModelResponse = MODEL, salt: bytes = b"", **more: object) -> bytes:
    facts = {"side": 2, "dtype": 1, "truncation": 2} | more
    request = embed_pb2.EmbedRequest(texts=[text], **facts)  # type: ignore[arg-type]
    return keys_of(request, model, salt)[0]


def test_everything_that_changes_a_vector_changes_the_key() -> None:
    other = embed_pb2.GetModelResponse()
    other.CopyFrom(MODEL)
    other.fingerprint = "f2"
    keys = [
        key(),
        key("y"),
        key(model=other),
        key(side=1),
        key(dtype=2),
        key(dimensions=4),
        key(truncation=3),
        key(prompt_text="p"),
        key(prompt_name="q"),
        key(prompt_texts=["p2"]),
        key("px"),
        key(salt=b"s"),
    ]
    assert len(set(keys)) == len(keys)


def test_what_does_not_change_a_vector_does_not_change_the_key() -> None:
    assert key(priority=2) == key(priority=1) == key()
    assert key(dimensions=8) == key()  # all of them, said outright
    assert key(side=1) == key(side=1, prompt_name="q")  # the default, said outright
    assert key(prompt_text="ask: ") == key(prompt_name="q") == key(prompt_texts=["ask: "])


def test_a_field_that_is_not_known_yet_changes_the_key() -> None:
    request = embed_pb2.EmbedRequest(texts=["x"])
    newer = embed_pb2.EmbedRequest.FromString(request.SerializeToString() + b"\xa0\x06\x01")  # field 100 = 1
    assert keys_of(request, MODEL, b"") != keys_of(newer, MODEL, b"")


def test_each_text_has_its_own_prompt() -> None:
    request = embed_pb2.EmbedRequest(texts=["x", "x", "x"], prompt_texts=["a", "b", "a"])
    one, two, three = keys_of(request, MODEL, b"")
    assert one == three != two


@given(st.lists(st.binary(max_size=8), max_size=4), st.lists(st.binary(max_size=8), max_size=4))
def test_two_lists_of_parts_never_meet(one: list[bytes], two: list[bytes]) -> None:
    assert (digest_key("f", one) == digest_key("f", two)) == (one == two)


@given(st.binary(max_size=64), st.integers(0, 2**32 - 1), st.booleans(), st.integers(0, 2**32 - 1))
def test_what_was_written_is_what_is_read(vector: bytes, tokens: int, truncated: bool, windows: int) -> None:
    row = Row(vector, tokens, truncated, windows)
    assert decode(b"k", encode(b"k", row), len(vector)) == row


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    value = bytearray(encode(b"k", Row(bytes(range(16)), 7, False)))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    assert decode(b"k", bytes(value), 16) is None


@given(st.binary(max_size=64))
def test_garbage_is_nothing(value: bytes) -> None:
    assert decode(b"k", value, 16) is None


def test_a_value_under_another_key_is_nothing() -> None:
    value = encode(b"k", Row(bytes(16), 7, False))
    assert decode(b"l", value, 16) is None
    assert decode(b"k", value, 32) is None
    assert decode(b"k", value[:-1], 16) is None


def test_row_bytes() -> None:
    sizes = [row_bytes(dtype, 12) for dtype in (1, 2, 3, 4)]
    assert sizes == [48, 24, 12, 2]
