"""Token arithmetic against a naive reference, and the pool that tokenises for many callers at once."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from serving.errors import Unavailable
from serving.tokenization import TokenizerPool, Tokens, cut, surround, windows

texts_of_tokens = st.lists(st.lists(st.integers(0, 99), max_size=30), max_size=12)
modest = settings(deadline=None, max_examples=60)


def tokens_of(texts: Sequence[Sequence[int]]) -> Tokens:
    flat = [token for text in texts for token in text]
    return Tokens(np.array(flat, np.int32), np.array([len(text) for text in texts], np.int32))


def lists_of(tokens: Tokens) -> list[list[int]]:
    assert tokens.ids.dtype == tokens.lengths.dtype == np.int32
    assert len(tokens.ids) == tokens.lengths.sum()
    return [tokens.of(index).tolist() for index in range(len(tokens.lengths))]


@given(texts_of_tokens, st.integers(0, 35), st.booleans())
@modest
def test_cut(texts: list[list[int]], room: int, from_start: bool) -> None:
    kept, truncated = cut(tokens_of(texts), room, from_start=from_start)
    assert lists_of(kept) == [text[max(0, len(text) - room) :] if from_start else text[:room] for text in texts]
    assert truncated.tolist() == [len(text) > room for text in texts]


@given(texts_of_tokens, st.lists(st.integers(100, 109), max_size=3), st.lists(st.integers(110, 119), max_size=3))
@modest
def test_surround(texts: list[list[int]], prefix: list[int], suffix: list[int]) -> None:
    assert lists_of(surround(tokens_of(texts), prefix, suffix)) == [prefix + text + suffix for text in texts]


def naive_windows(text: list[int], room: int, overlap: int) -> list[list[int]]:
    """As BCEmbedding cuts: the next window begins `overlap` before the end of the last, until the text's end."""
    pieces, begin = [text[:room]], 0
    while begin + room < len(text):
        begin += room - overlap
        pieces.append(text[begin : begin + room])
    return pieces


@given(texts_of_tokens, st.integers(1, 20), st.data())
@modest
def test_windows(texts: list[list[int]], room: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, room - 1))
    pieces, counts = windows(tokens_of(texts), room, overlap)
    expected = [naive_windows(text, room, overlap) for text in texts]
    assert lists_of(pieces) == [piece for found in expected for piece in found]
    assert counts.tolist() == [len(found) for found in expected]


def test_windows_of_bcembedding() -> None:
    """A query of 12 tokens with its specials leaves 498 of 512; windows of 1,200 tokens overlap by 80."""
    room = 512 - 12 - 2
    pieces, counts = windows(tokens_of([list(range(1200))]), room, min(80, room // 4))
    assert [(found[0], found[-1] + 1) for found in lists_of(pieces)] == [(0, 498), (418, 916), (836, 1200)]
    assert counts.tolist() == [3]


WORDS = ["[UNK]", "[CLS]", "[SEP]", "a", *(f"w{number}" for number in range(1000))]
FRONT, END = WORDS.index("[CLS]"), WORDS.index("[SEP]")


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", FRONT), ("[SEP]", END)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(file))
    return file


class GatedPool(TokenizerPool):
    """Tokenises a batch when it is let through; fails one that holds the word "w666"."""

    def __init__(self, tokenizer_file: Path) -> None:
        super().__init__(tokenizer_file)
        self.gate = threading.Semaphore(0)
        self.batches: list[list[str]] = []

    def _encode(self, texts: list[str]) -> Tokens:
        self.batches.append(texts)
        assert self.gate.acquire(timeout=10)
        if "w666" in texts:
            raise ValueError("seeded")
        return super()._encode(texts)

    async def begun(self, batches: int) -> None:
        while len(self.batches) < batches:
            await asyncio.sleep(0)


@pytest.fixture
def pool(tokenizer_file: Path) -> Iterator[GatedPool]:
    gated = GatedPool(tokenizer_file)
    yield gated
    gated.gate.release(1000)
    gated.close()


def ids(*words: str) -> list[int]:
    return [WORDS.index(word) for word in words]


def test_special_tokens(pool: TokenizerPool) -> None:
    assert pool.special_tokens() == ((FRONT,), (END,))


async def test_nothing_added_nothing_cut_nothing_padded(pool: GatedPool) -> None:
    pool.gate.release()
    tokens = await pool.tokenize(["w1 w2 w3 w4 w5 w6", "", "w7", "unheard [SEP]"])
    assert lists_of(tokens) == [ids("w1", "w2", "w3", "w4", "w5", "w6"), [], ids("w7"), ids("[UNK]", "[SEP]")]


async def test_callers_get_their_own_tokens_and_share_batches(pool: GatedPool) -> None:
    texts = [[f"w{caller}", f"w{caller + 1} w{caller + 2}"][: 1 + caller % 2] for caller in range(50)]
    first = asyncio.create_task(pool.tokenize(["w999"]))
    await pool.begun(1)
    others = [asyncio.create_task(pool.tokenize(mine)) for mine in texts]
    await asyncio.sleep(0)
    pool.gate.release(2)
    assert lists_of(await first) == [ids("w999")]
    for mine, tokens in zip(texts, await asyncio.gather(*others), strict=True):
        assert lists_of(tokens) == [ids(*text.split()) for text in mine]
    assert len(pool.batches) == 2, "all that came during the first batch made the second"


async def test_a_caller_that_goes_hurts_nobody(pool: GatedPool) -> None:
    """One goes while its texts are being tokenised, one while they wait; those are not tokenised at all."""
    gone, stays = (asyncio.create_task(pool.tokenize([word])) for word in ("w1", "w2"))
    await pool.begun(1)
    waits, late = (asyncio.create_task(pool.tokenize([word])) for word in ("w3", "w4"))
    await asyncio.sleep(0)
    for caller in (gone, waits):
        caller.cancel()
    await asyncio.sleep(0)
    pool.gate.release(2)
    assert lists_of(await stays) == [ids("w2")]
    assert lists_of(await late) == [ids("w4")]
    assert pool.batches == [["w1", "w2"], ["w4"]]


async def test_nothing_is_tokenised_for_nobody(pool: GatedPool) -> None:
    first = asyncio.create_task(pool.tokenize(["w1"]))
    await pool.begun(1)
    gone = asyncio.create_task(pool.tokenize(["w2"]))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    pool.gate.release(2)
    await first
    assert lists_of(await pool.tokenize(["w3"])) == [ids("w3")]
    assert pool.batches == [["w1"], ["w3"]]


async def test_an_error_reaches_the_callers_of_its_batch_only(pool: GatedPool) -> None:
    first = asyncio.create_task(pool.tokenize(["w1"]))
    await pool.begun(1)
    bad, mate = (asyncio.create_task(pool.tokenize([word])) for word in ("w666", "w2"))
    await asyncio.sleep(0)
    pool.gate.release(1)
    assert lists_of(await first) == [ids("w1")]
    await pool.begun(2)
    later = asyncio.create_task(pool.tokenize(["w3"]))
    await asyncio.sleep(0)
    pool.gate.release(2)
    outcomes = await asyncio.gather(bad, mate, later, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError, Tokens]


async def test_closed_pool_refuses(pool: GatedPool) -> None:
    pool.gate.release()
    await pool.tokenize(["w1"])
    pool.close()
    with pytest.raises(Unavailable):
        await pool.tokenize(["w2"])
