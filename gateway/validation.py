"""What a request must be before any work is done for it. Every error names the field and the limit."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from gateway.recall.words import LANGUAGES
from serving.errors import InvalidArgument
from serving.limits import check_choice, check_count, check_text
from siftline.embed.v1 import embed_pb2
from siftline.search.v1 import search_pb2

COLLECTION_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
FILTER_WORDS = ("AND", "OR", "NOT", "IN", "TRUE", "FALSE")
FIELD_TYPES = [number for number in search_pb2.FieldType.values() if number != search_pb2.FIELD_TYPE_UNSPECIFIED]
MAX_FIELDS = 64
MAX_ID_BYTES = 512
MAX_IDS = 10_000
MAX_DOCUMENTS = 10_000
MAX_TEXT_BYTES = 1 << 20
MAX_QUERY_BYTES = 1 << 16
MAX_TITLE_BYTES = 4096
MAX_METADATA_BYTES = 1 << 16
MAX_TOP_K = 1000
MAX_RECALL_DEPTH = 1000
MAX_FILTER_BYTES = 8192
MAX_FIELD_BYTES = 256
MAX_WEIGHT = 1000.0
MAX_CALIBRATION_POINTS = 1000
MAX_FINGERPRINT_BYTES = 128


def embed_request(request: embed_pb2.EmbedRequest, model: embed_pb2.GetModelResponse) -> None:
    """Checks against the limits of the model, and fills in what UNSPECIFIED stands for, so that cache keys agree."""
    limits = model.limits
    check_count("texts", len(request.texts), limits.max_texts)
    for place, text in enumerate(request.texts):
        check_text(f"texts[{place}]", text, limits.max_text_bytes)
    check_text("prompt_text", request.prompt_text, limits.max_prompt_bytes, empty=True)
    _prompt_texts(request, limits.max_prompt_bytes)
    if request.dimensions > model.dimensions:
        raise InvalidArgument("dimensions", f"{request.dimensions}; {model.name} has {model.dimensions}")
    for field, enum, default in _EMBED_CHOICES:
        setattr(request, field, _choice(field, enum, getattr(request, field)) or default)
    if all(_choice("outputs", embed_pb2.Output, output) <= embed_pb2.OUTPUT_DENSE for output in request.outputs):
        request.ClearField("outputs")


def _prompt_texts(request: embed_pb2.EmbedRequest, max_bytes: int) -> None:
    if not request.prompt_texts:
        return
    if request.WhichOneof("prompt"):
        raise InvalidArgument("prompt_texts", f"not together with {request.WhichOneof('prompt')}")
    if len(request.prompt_texts) != len(request.texts):
        raise InvalidArgument("prompt_texts", f"{len(request.prompt_texts)} items for {len(request.texts)} texts")
    for place, prompt in enumerate(request.prompt_texts):
        check_text(f"prompt_texts[{place}]", prompt, max_bytes, empty=True)


_EMBED_CHOICES = (
    ("side", embed_pb2.Side, embed_pb2.SIDE_DOCUMENT),
    ("dtype", embed_pb2.Dtype, embed_pb2.DTYPE_FLOAT32),
    ("truncation", embed_pb2.Truncation, embed_pb2.TRUNCATION_END),
    ("priority", embed_pb2.Priority, embed_pb2.PRIORITY_INTERACTIVE),
)


def create_collection(request: search_pb2.CreateCollectionRequest) -> None:
    collection_name("name", request.name)
    _fields("fields", request.fields)
    _weight(request.recall_weight)
    if request.language and request.language not in LANGUAGES:
        raise InvalidArgument("language", f"{request.language[:40]!r} is none of {', '.join(LANGUAGES)}")


def reindex(request: search_pb2.ReindexRequest) -> None:
    collection_name("name", request.name)
    _fields("fields.fields", request.fields.fields)


def reindex_all(request: search_pb2.ReindexAllRequest) -> None:
    for field in ("old_fingerprint", "new_fingerprint"):
        if not getattr(request, field):
            raise InvalidArgument(field, "empty; the fingerprint of a model is needed")


def _fields(path: str, fields: Sequence[search_pb2.Field]) -> None:
    if len(fields) > MAX_FIELDS:
        raise InvalidArgument(path, f"{len(fields)} items; the limit is {MAX_FIELDS}")
    seen: set[str] = set()
    for place, field in enumerate(fields):
        where = f"{path}[{place}].name"
        if not FIELD_NAME.fullmatch(field.name):
            raise InvalidArgument(where, f"{field.name[:80]!r} does not match {FIELD_NAME.pattern}")
        if field.name.upper() in FILTER_WORDS:
            raise InvalidArgument(where, f"{field.name!r} is a word of the filter language")
        if field.name in seen:
            raise InvalidArgument(where, f"{field.name!r} is there twice")
        if field.type not in FIELD_TYPES:
            raise InvalidArgument(f"{path}[{place}].type", f"{field.type} is none of {_TYPE_NAMES}")
        seen.add(field.name)


_TYPE_NAMES = "TAG (1), NUMBER (2), TIME (3), GEO (4)"


def collection_name(field: str, name: str) -> None:
    if not COLLECTION_NAME.fullmatch(name):
        raise InvalidArgument(field, f"{name[:80]!r} does not match {COLLECTION_NAME.pattern}")


def document(value: search_pb2.Document) -> None:
    """Sizes. Whether the metadata fits the collection is for the one who knows the collection."""
    check_text("id", value.id, MAX_ID_BYTES)
    check_text("text", value.text, MAX_TEXT_BYTES)
    check_text("title", value.title, MAX_TITLE_BYTES, empty=True)
    if (size := value.metadata.ByteSize()) > MAX_METADATA_BYTES:
        raise InvalidArgument("metadata", f"{size} bytes; the limit is {MAX_METADATA_BYTES}")


def upsert(collection: str, durability: int) -> None:
    collection_name("collection", collection)
    _choice("durability", search_pb2.Durability, durability)


def ids(values: Sequence[str]) -> None:
    check_count("ids", len(values), MAX_IDS)
    for place, value in enumerate(values):
        check_text(f"ids[{place}]", value, MAX_ID_BYTES)


def search_request(request: search_pb2.SearchRequest) -> None:
    """Checks, and fills in the defaults of the proto."""
    collection_name("collection", request.collection)
    check_text("query", request.query, MAX_QUERY_BYTES)
    request.top_k = request.top_k or 10
    _at_most("top_k", request.top_k, MAX_TOP_K)
    request.recall_depth = max(request.recall_depth or 50, request.top_k)
    _at_most("recall_depth", request.recall_depth, MAX_RECALL_DEPTH)
    _choice("rerank", search_pb2.RerankMode, request.rerank)
    _choice("recall", search_pb2.RecallMode, request.recall)
    if math.isnan(request.min_score):
        raise InvalidArgument("min_score", "is not a number")
    _probability(request)
    _weight(request.recall_weight)
    if not 0.0 <= request.words_weight <= 1.0:
        raise InvalidArgument("words_weight", f"{request.words_weight} is not between 0 and 1")
    filter_text(request.filter)
    check_text("collapse", request.collapse, MAX_FIELD_BYTES, empty=True)


def set_calibration(request: search_pb2.SetCalibrationRequest) -> None:
    collection_name("collection", request.collection)
    _weight(request.recall_weight)
    if not request.HasField("calibration"):
        return
    asked = request.calibration
    check_text("calibration.rerank_fingerprint", asked.rerank_fingerprint, MAX_FINGERPRINT_BYTES)
    match asked.WhichOneof("map"):
        case "platt":
            _platt(asked.platt)
        case "isotonic":
            _isotonic(asked.isotonic)
        case None:
            raise InvalidArgument("calibration.map", "neither platt nor isotonic is there")


def filter_text(value: str) -> None:
    check_text("filter", value, MAX_FILTER_BYTES, empty=True)


def _probability(request: search_pb2.SearchRequest) -> None:
    if not request.HasField("min_probability"):
        return
    if not 0 <= request.min_probability <= 1:
        raise InvalidArgument("min_probability", f"{request.min_probability} is not between 0 and 1")
    if request.rerank == search_pb2.RERANK_MODE_OFF:
        raise InvalidArgument("min_probability", "is of the second stage, and rerank is off")


def _platt(values: search_pb2.Platt) -> None:
    if not 0 < values.slope < math.inf:
        raise InvalidArgument("calibration.platt.slope", f"{values.slope} is not a number above 0")
    if not math.isfinite(values.intercept):
        raise InvalidArgument("calibration.platt.intercept", f"{values.intercept} is not finite")


def _isotonic(points: search_pb2.Isotonic) -> None:
    check_count("calibration.isotonic.logits", len(points.logits), MAX_CALIBRATION_POINTS)
    if len(points.probabilities) != len(points.logits):
        problem = f"{len(points.probabilities)} items for {len(points.logits)} logits"
        raise InvalidArgument("calibration.isotonic.probabilities", problem)
    if not all(map(math.isfinite, points.logits)) or any(a >= b for a, b in pairwise(points.logits)):
        raise InvalidArgument("calibration.isotonic.logits", "do not rise from each to the next")
    if not all(0 <= p <= 1 for p in points.probabilities) or any(a > b for a, b in pairwise(points.probabilities)):
        raise InvalidArgument("calibration.isotonic.probabilities", "fall somewhere, or leave 0 to 1")


def _weight(value: float) -> None:
    if not 0 <= value <= MAX_WEIGHT:
        raise InvalidArgument("recall_weight", f"{value} is not between 0 and {MAX_WEIGHT:.0f}")


def _at_most(field: str, value: int, limit: int) -> None:
    if value > limit:
        raise InvalidArgument(field, f"{value}; the limit is {limit}")


def _choice(field: str, enum: Any, value: int) -> int:
    known: dict[int, int] = {number: number for number in enum.values()}
    return check_choice(field, known, value)
