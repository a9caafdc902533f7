"""tokenizer.json as a service reads it: complete, without truncation and padding.

Files in the field lack added tokens (a bare vocab.txt converted, XLM-R re-saved), carry a truncation to 128, or have
an end-of-text token only in the config. transformers knows how to mend each of them: what it loads is what is written.
"""

from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer

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
    token = source.optional_json("tokenizer_config.json").get("pad_token")
    name = token.get("content") if isinstance(token, dict) else token
    found = tokenizer.token_to_id(name) if name else None
    return found if found is not None else 0


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


def _backend(source: Source) -> Tokenizer:
    # Written by transformers 5 for a tokenizer that is nothing but its tokenizer.json; unknown to transformers 4.
    if source.optional_json("tokenizer_config.json").get("tokenizer_class") == "TokenizersBackend":
        return Tokenizer.from_file(str(source.folder / "tokenizer.json"))
    loaded = AutoTokenizer.from_pretrained(str(source.folder), trust_remote_code=False, local_files_only=True)
    backend: Tokenizer = loaded.backend_tokenizer
    return backend


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
