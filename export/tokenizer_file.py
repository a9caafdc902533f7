"""tokenizer.json as a service reads it: complete, without truncation and padding.

Files in the field lack added tokens (a bare vocab.txt converted, XLM-R re-saved), carry a truncation to 128, or have
an end-of-text token only in the config. transformers knows how to mend each of them: what it loads is what is written.
"""

from itertools import chain
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer

from export.catalogue import Answer
from export.errors import ExportError
from export.source import Source
from serving.served_model import PairLayout, Truncation

_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "vocab.json",
)
_WEIGHTLESS = ("cls_token", "eos_token", "pad_token", "unk_token")


def load(source: Source) -> Tokenizer:
    """The model's tokenizer; ExportError when there is none or it cannot be read."""
    if not any(source.has(name) for name in _TOKENIZER_FILES):
        raise ExportError(f"{source.label}: no tokenizer (looked for {', '.join(_TOKENIZER_FILES)})")
    try:
        backend = _backend(source)
    except Exception as error:
        raise ExportError(f"{source.label}: its tokenizer does not load: {_first_line(error)}") from error
    backend.no_truncation()
    backend.no_padding()
    return backend


def check_vocabulary(source: Source, tokenizer: Tokenizer, vocab_size: int) -> None:
    """ExportError when the tokenizer makes ids that the model has no row for."""
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    if largest >= vocab_size:
        raise ExportError(
            f"{source.label}: the tokenizer goes up to id {largest}, but the model has {vocab_size} embeddings; "
            f"tokenizer and weights are not of one model"
        )


def pad_token_id(source: Source, config: dict[str, Any], tokenizer: Tokenizer) -> int:
    """The padding id that the config names, else the tokenizer's. Padding is masked, so any valid id would do."""
    if isinstance(config.get("pad_token_id"), int):
        return int(config["pad_token_id"])
    found = tokenizer.token_to_id(_token(source, "pad_token"))
    return found if found is not None else 0


def weightless_ids(source: Source, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Ids that have no part in a sparse vector (FlagEmbedding, M3Embedder: _process_token_weights)."""
    found = (tokenizer.token_to_id(_token(source, kind)) for kind in _WEIGHTLESS)
    return tuple(sorted({id for id in found if id is not None}))


def pair_layout(tokenizer: Tokenizer, segments: bool, query_tokens: int, truncation: Truncation) -> PairLayout:
    """Where the tokenizer's own pair template puts special tokens."""
    encoding = tokenizer.encode("a", "a")
    sides = encoding.sequence_ids
    ids = encoding.ids
    first, second = sides.index(0), sides.index(1)
    first_end = len(sides) - sides[::-1].index(0)
    second_end = len(sides) - sides[::-1].index(1)
    return PairLayout(
        prefix=tuple(ids[:first]),
        middle=tuple(ids[first_end:second]),
        suffix=tuple(ids[second_end:]),
        segment_ids=segments and encoding.type_ids[second] == 1,
        max_query_tokens=query_tokens,
        truncation=truncation,
    )


def answer_layout(source: Source, tokenizer: Tokenizer, answer: Answer, query_tokens: int) -> PairLayout:
    """The fixed pieces of a question to a language model, as token ids."""
    begin, middle, end = (
        tuple(chain.from_iterable(_ids(tokenizer, _with_bos(source, text)) for text in texts))
        for texts in (answer.begin, answer.middle, answer.end)
    )
    return PairLayout(
        prefix=begin,
        middle=middle,
        suffix=end,
        segment_ids=False,
        max_query_tokens=query_tokens,
        max_passage_tokens=answer.passage_tokens,
        truncation="passage",
        query_text=answer.query,
        passage_text=answer.passage,
    )


def answer_ids(source: Source, tokenizer: Tokenizer, answer: Answer) -> tuple[int, int | None]:
    """The first token of the words for yes and for no; None where no word for no counts."""
    found = {word: _ids(tokenizer, word)[:1] for word in (answer.yes, answer.no) if word}
    for word, ids in found.items():
        if not ids:
            raise ExportError(f"{source.label}: its tokenizer has nothing for the answer {word!r}")
    return found[answer.yes][0], found[answer.no][0] if answer.no else None


def _ids(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False).ids) if text else ()


def _with_bos(source: Source, text: str) -> str:
    return text.replace("{bos}", _token(source, "bos_token"))


def _token(source: Source, kind: str) -> str:
    """The special token of a kind, "" where the model names none."""
    token = source.optional_json("tokenizer_config.json").get(kind) or ""
    return str(token["content"] if isinstance(token, dict) else token)


def _backend(source: Source) -> Tokenizer:
    # Written by transformers 5 for a tokenizer that is nothing but its tokenizer.json; unknown to transformers 4.
    if source.optional_json("tokenizer_config.json").get("tokenizer_class") == "TokenizersBackend":
        return Tokenizer.from_file(str(source.folder / "tokenizer.json"))
    loaded = AutoTokenizer.from_pretrained(str(source.folder), trust_remote_code=False, local_files_only=True)
    backend: Tokenizer = loaded.backend_tokenizer
    return backend


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
