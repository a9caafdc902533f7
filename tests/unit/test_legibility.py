"""How much of a text each kind of tokenizer knows."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE, Model, Unigram, WordLevel, WordPiece
from tokenizers.pre_tokenizers import ByteLevel, Metaspace, WhitespaceSplit

from serving.legibility import Legibility

KNOWN = {"<unk>": 0, "how": 1, "many": 2, "?": 3, "a": 4, "##a": 5, "##ny": 6}
TEXT = "how many 你 好"
METASPACED = [("<unk>", 0.0), ("▁how", -1.0), ("▁many", -1.0), ("▁", -2.0), ("?", -1.0)]


def share(model: Model, text: str, folder: Path, before: object = None) -> float:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = before or WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return Legibility(tokenizer, folder / "tokenizer.json").unknown_share(np.array(ids, np.int32))


@pytest.mark.parametrize(
    "model",
    [WordLevel(KNOWN, unk_token="<unk>"), WordPiece(KNOWN, unk_token="<unk>"), BPE(KNOWN, [], unk_token="<unk>")],
    ids=["WordLevel", "WordPiece", "BPE"],
)
def test_words_that_are_unknown(model: Model, tmp_path: Path) -> None:
    assert share(model, "你 好", tmp_path) == 1
    assert share(model, "", tmp_path) == 0
    assert 0 < share(model, TEXT, tmp_path) < 1
    assert share(model, "a", tmp_path) == 0


def test_single_characters_count_a_tenth(tmp_path: Path) -> None:
    model = WordPiece(KNOWN, unk_token="<unk>")
    assert share(model, TEXT, tmp_path) == 0.5
    assert share(model, "how many ? 你 好", tmp_path) == pytest.approx(2 / 4.1)
    assert share(model, "? a 你 好", tmp_path) == pytest.approx(2 / 2.2)
    assert share(model, "aa 你", tmp_path) == pytest.approx(1 / 1.2)  # a and ##a
    assert share(model, "any 你", tmp_path) == pytest.approx(1 / 2.1)  # a and ##ny


def test_unigram_has_spaces_in_its_pieces(tmp_path: Path) -> None:
    assert share(Unigram(METASPACED, unk_id=0), TEXT, tmp_path, Metaspace()) == pytest.approx(2 / 4.2)
    assert share(Unigram(METASPACED, unk_id=0), "how many?", tmp_path, Metaspace()) == 0


@pytest.mark.parametrize("unknown", [None, "<unk>"])
def test_byte_level_knows_every_text(unknown: str | None, tmp_path: Path) -> None:
    letters = {letter: at for at, letter in enumerate(["<unk>", *sorted(ByteLevel.alphabet())])}
    assert share(BPE(letters, [], unk_token=unknown), TEXT, tmp_path, ByteLevel()) == 0
