"""Real text as rows that a model takes: texts of many kinds, and the documentation that every Python carries."""

from collections.abc import Iterable, Sequence
from pydoc_data.topics import topics

import numpy as np
from tokenizers import Tokenizer

from serving.batching.rows import Rows
from serving.served_model import PairLayout, ServedModel

_LONGEST_ROW = 512
_LONGEST_QUERY = 20
_TEXTS = (
    "How many points did the defence give up?",
    "a",
    "",
    "黑豹队的防守丢了多少分？",
    "中英 mixed 文本 with English 单词",
    "def square(x):\n    return x**2  # comment",
    "CAFÉ naïve façade, full-width ＡＢＣ１２３, emoji 🙂",
)
_PAGES = ("assert", "booleans", "floating", "import", "dynamic-features")
_SUBJECTS = ("assert", "booleans", "import", "try", "lambda", "lists", "with", "global")
_WORDS = range(8, 71)  # of a paragraph


def texts() -> list[str]:
    """Short texts of many kinds, and a few pages."""
    return [*_TEXTS, *(topics[name] for name in _PAGES)]


def rows(tokenizer: Tokenizer, model: ServedModel) -> Rows:
    """`texts`, as rows that the model takes; for a reranker, each beside the beginning of another one."""
    if model.pair is None:
        return _singles(tokenizer, model, texts())
    return _pairs(tokenizer, model, model.pair, [(texts()[number % 6], text) for number, text in enumerate(texts())])


def many_rows(tokenizer: Tokenizer, model: ServedModel) -> Rows:
    """Enough to see whether an order is kept: some 45 texts, or 64 pairs: 8 questions, passages on each and others."""
    paragraphs = {subject: list(_paragraphs(topics[subject])) for subject in _SUBJECTS}
    if model.pair is None:
        found = [text for subject in _SUBJECTS for text in paragraphs[subject][:7]]
        return _singles(tokenizer, model, [*_TEXTS, *found])
    asked = []
    for number, subject in enumerate(_SUBJECTS):
        others = [paragraphs[_SUBJECTS[(number + step) % len(_SUBJECTS)]] for step in range(1, 5)]
        passages = [*paragraphs[subject][:3], *(other[step % len(other)] for step, other in enumerate(others))]
        query = f"What does {subject} do in Python?"
        asked += [(query, passage) for passage in (*passages, _TEXTS[number % len(_TEXTS)])]
    return _pairs(tokenizer, model, model.pair, asked)


def _paragraphs(page: str) -> Iterable[str]:
    """Each on one line, without headings and examples."""
    for paragraph in page.split("\n\n"):
        line = " ".join(paragraph.split())
        if len(line.split()) in _WORDS and not line.startswith("*"):
            yield line


def _singles(tokenizer: Tokenizer, model: ServedModel, given: list[str]) -> Rows:
    longest = min(model.max_tokens, _LONGEST_ROW)
    ids = [_cut(encoding.ids, longest) for encoding in tokenizer.encode_batch(given)]
    ids = [row for row in ids if row]
    # As for INSTRUCTOR: a few tokens at the beginning are not pooled.
    pooled = [min(3, len(row) - 1) for row in ids]
    return _rows(ids, pooled=pooled if "pooling_mask" in model.inputs else None)


def _pairs(tokenizer: Tokenizer, model: ServedModel, pair: PairLayout, given: list[tuple[str, str]]) -> Rows:
    longest = min(model.max_tokens, _LONGEST_ROW)
    ids, seconds = [], []
    queries, passages = (
        tokenizer.encode_batch(list(side), add_special_tokens=False) for side in zip(*given, strict=True)
    )
    for query, passage in zip(queries, passages, strict=True):
        front = [*pair.prefix, *query.ids[:_LONGEST_QUERY], *pair.middle]
        ids.append([*front, *passage.ids[: longest - len(front) - len(pair.suffix)], *pair.suffix])
        seconds.append(len(front))
    return _rows(ids, seconds=seconds if pair.segment_ids else None)


def _cut(ids: Sequence[int], longest: int) -> list[int]:
    return [*ids[: longest - 1], ids[-1]] if len(ids) > longest else list(ids)


def _rows(ids: list[list[int]], seconds: list[int] | None = None, pooled: list[int] | None = None) -> Rows:
    flat = np.array([token for row in ids for token in row], np.int32)
    lengths = np.array([len(row) for row in ids], np.int32)
    columns = [None if column is None else np.array(column, np.int32) for column in (seconds, pooled)]
    return Rows(flat, lengths, columns[0], columns[1])
