"""The shipped vocabulary: the word pieces that English text of the sets and the Python documentation uses."""

from __future__ import annotations

import contextlib
import io
import json
import pydoc
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

CONTINUATION = "##"
# Importing these has visible effects: one opens a browser, the other prints a poem.
UNDOCUMENTED = frozenset({"antigravity", "this"})


@dataclass(frozen=True)
class Vocabulary:
    """Kept word pieces in their new order.

    Attributes:
        pieces: Word pieces; the position is the new id.
        old_ids: int64 [len(pieces)], the id that each had before.
    """

    pieces: tuple[str, ...]
    old_ids: torch.Tensor


def count_pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """How often each word piece occurs in the texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokenizer.encode(text, add_special_tokens=False).tokens)
    return counts


def documentation_texts() -> Iterator[str]:
    """The help page of every standard library module that this interpreter can import, without markup."""
    for name in sorted(sys.stdlib_module_names - UNDOCUMENTED):
        page = _help_page(name)
        if page:
            yield page


def reduced(tokenizer: Tokenizer, counts: Counter[str], size: int) -> Vocabulary:
    """Specials, all single characters (also as continuations), then the most frequent pieces, up to ``size``.

    The order of the ids is that of the old vocabulary. A word whose pieces are all kept is cut as before: greedy
    longest match finds the same longest piece in a subset that has it.
    """
    old = tokenizer.get_vocab()
    kept = {piece for piece in old if _is_special(piece) or len(piece.removeprefix(CONTINUATION)) == 1}
    by_frequency = sorted((piece for piece in counts if piece not in kept), key=lambda piece: (-counts[piece], piece))
    kept.update(by_frequency[: size - len(kept)])
    pieces = tuple(sorted(kept, key=old.__getitem__))
    return Vocabulary(pieces, torch.tensor([old[piece] for piece in pieces]))


def write_tokenizer(source: Path, folder: Path, vocabulary: Vocabulary, max_length: int) -> None:
    """Writes the four tokenizer files of the reduced vocabulary, made from those in ``source``."""
    ids = {piece: number for number, piece in enumerate(vocabulary.pieces)}
    whole = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    _write_json(folder / "tokenizer.json", _renumbered(whole, ids), indent=None)
    settings = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings = {key: value for key, value in settings.items() if key != "name_or_path"}
    _write_json(folder / "tokenizer_config.json", settings | {"model_max_length": max_length})
    (folder / "special_tokens_map.json").write_bytes((source / "special_tokens_map.json").read_bytes())
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in vocabulary.pieces), encoding="utf-8")


def _renumbered(whole: dict[str, object], ids: dict[str, int]) -> dict[str, object]:
    """The tokenizer file with new ids, no truncation and no padding (both are the caller's choice)."""
    result = json.loads(json.dumps(whole))
    result |= {"truncation": None, "padding": None}
    result["model"]["vocab"] = ids
    for token in result["added_tokens"]:
        token["id"] = ids[token["content"]]
    for name, token in result["post_processor"]["special_tokens"].items():
        token["ids"] = [ids[name]]
    return dict(result)


def _write_json(path: Path, content: object, indent: int | None = 1) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=indent) + "\n", encoding="utf-8")


def _is_special(piece: str) -> bool:
    return piece in {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}


def _help_page(name: str) -> str:
    sink = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        warnings.simplefilter("ignore")
        # Modules of other platforms or without their C library do not import; some end the process when imported.
        with contextlib.suppress(Exception, SystemExit):
            return pydoc.plain(pydoc.render_doc(name))
    return ""
