"""TEI's requests and replies."""

from typing import Any

import msgspec

Inputs = str | list[str | int | list[int]]


class _Truncated(msgspec.Struct, kw_only=True):
    """Without `truncate` what is too long is cut, as with TEI's --auto-truncate, which is its default."""

    truncate: bool | None = None
    truncation_direction: str | None = None


class EmbedRequest(_Truncated, kw_only=True):
    inputs: Inputs
    prompt_name: str | None = None
    normalize: bool | None = None
    dimensions: int | None = None


class RerankRequest(_Truncated, kw_only=True):
    query: str
    texts: list[str]
    raw_scores: bool = False
    return_text: bool = False


class PredictRequest(_Truncated, kw_only=True):
    inputs: str | list[str | list[str]]
    raw_scores: bool = False


class Sentences(msgspec.Struct):
    source_sentence: str
    sentences: list[str]


class SimilarityParameters(_Truncated, kw_only=True):
    prompt_name: str | None = None


class SimilarityRequest(msgspec.Struct):
    inputs: Sentences
    parameters: SimilarityParameters | None = None


class TokenizeRequest(msgspec.Struct):
    inputs: str | list[str]
    add_special_tokens: bool = True
    prompt_name: str | None = None


class DecodeRequest(msgspec.Struct):
    ids: list[int | list[int]]
    skip_special_tokens: bool = True


class SparseValue(msgspec.Struct):
    index: int
    value: float


class Rank(msgspec.Struct, omit_defaults=True):
    index: int
    score: float
    text: str | None = None


class Prediction(msgspec.Struct):
    score: float
    label: str


class Token(msgspec.Struct, omit_defaults=True):
    id: int
    text: str
    special: bool
    start: int | None = None
    stop: int | None = None


class Shape(msgspec.Struct):
    """Tells what a body for / asks for."""

    inputs: Any = msgspec.UNSET
    texts: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


Vectors = list[list[float]]
Sparse = list[list[SparseValue]]
Tokens = list[list[Token]]
