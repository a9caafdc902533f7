"""Cuts long text into passages that a model reads whole."""

import re
from collections.abc import Iterator

# About 150 tokens of English, 200 with code: inside the window of every embedder in the catalogue, title included.
PASSAGE_CHARACTERS = 600


def cut(text: str, limit: int = PASSAGE_CHARACTERS) -> Iterator[str]:
    """Passages of at most `limit` characters: whole paragraphs together as long as they fit.

    A paragraph that is too long by itself is cut at line ends, else sentence ends, else spaces, else anywhere.
    White space around a passage is dropped, and so are passages of nothing else.
    """
    passage = ""
    for piece in _pieces(text, limit, _SEPARATORS):
        if len(passage) + len(piece) > limit:
            yield from _stripped(passage)
            passage = ""
        passage += piece
    yield from _stripped(passage)


# From the best place to cut to the worst; each keeps what it matches at the end of the piece before.
_SEPARATORS = (r"(?<=\n)(?:[ \t]*\n)+", r"\n", r"(?<=[.!?。！？])\s*", r"\s+")


def _pieces(text: str, limit: int, separators: tuple[str, ...]) -> Iterator[str]:
    """`text` in pieces that joined give it back, none longer than `limit`, cut at the first separator that does."""
    if not separators:
        yield from (text[start : start + limit] for start in range(0, len(text), limit))
        return
    start = 0
    for match in (*re.finditer(separators[0], text), None):
        end = match.end() if match else len(text)
        piece = text[start:end]
        if len(piece) > limit:
            yield from _pieces(piece, limit, separators[1:])
        elif piece:
            yield piece
        start = end


def _stripped(passage: str) -> Iterator[str]:
    if stripped := passage.strip():
        yield stripped
