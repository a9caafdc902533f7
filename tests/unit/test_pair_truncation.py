"""longest_first keeps exactly the tokens that the tokenizers library keeps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from serving.tokenization import Tokens, join, longest_first

LENGTHS = st.integers(1, 40)


def kept_by_the_library(first: int, second: int, room: int) -> tuple[int, int]:
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.enable_truncation(room, strategy="longest_first")
    ids = tokenizer.encode(" ".join(["a"] * first), " ".join(["b"] * second)).ids
    return ids.count(0), ids.count(1)


@given(first=LENGTHS, second=LENGTHS, room=st.integers(2, 60))
def test_as_the_tokenizers_library(first: int, second: int, room: int) -> None:
    of_first, of_second = longest_first(first, np.array([second], np.int32), room)
    assert (of_first[0], of_second[0]) == kept_by_the_library(first, second, room)


@pytest.mark.parametrize("room", [2, 10, 11, 512])
def test_each_pair_by_itself(room: int) -> None:
    of_first, of_second = longest_first(300, np.array([0, 5, 300, 900], np.int32), room)
    assert (of_first + of_second <= room).all()
    assert (of_second <= [0, 5, 300, 900]).all()


def test_join_interleaves_rows() -> None:
    first = Tokens(np.array([1, 2, 3], np.int32), np.array([2, 0, 1], np.int32))
    second = Tokens(np.array([7, 8, 9], np.int32), np.array([1, 2, 0], np.int32))
    joined = join(first, second)
    assert joined.ids.tolist() == [1, 2, 7, 8, 9, 3]
    assert joined.lengths.tolist() == [3, 2, 1]
