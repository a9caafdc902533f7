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


class Info(msgspec.Struct, kw_only=True):
    """Of the limits, `max_input_length` and `max_client_batch_size` are ours; for the others TEI's defaults stand."""

    model_id: str
    model_sha: str
    model_dtype: str
    served_model_name: str
    model_type: dict[str, Any]
    max_input_length: int
    max_client_batch_size: int
    version: str
    max_concurrent_requests: int = 512
    max_batch_tokens: int = 16384
    max_batch_requests: int | None = None
    auto_truncate: bool = True
    tokenization_workers: int = 1
    sha: str | None = None
    docker_label: str | None = None


class Shape(msgspec.Struct):
    """Tells what a body for / asks for."""

    inputs: Any = msgspec.UNSET
    texts: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


Vectors = list[list[float]]
Sparse = list[list[SparseValue]]
Tokens = list[list[Token]]
Predictions = (list[Prediction], list[list[Prediction]])
SHAPES = (EmbedRequest, SimilarityRequest, RerankRequest)
REPLIES = (Vectors, list[float], list[Rank])
