"""Wire messages of the search service to the gateway's types and back."""

import json
import math
from collections.abc import Iterable

from google.protobuf import json_format, struct_pb2

from gateway.calibration import Calibration, Isotonic, Platt
from gateway.intake import Intake
from gateway.metadata import Incoming, Json, written
from gateway.query import Found, Hit, Query, RecallMode
from gateway.recall import Collection, Document, FieldType
from serving.errors import InvalidArgument
from siftline.search.v1 import search_pb2 as pb

_FIELD_TYPES = {
    pb.FIELD_TYPE_TAG: FieldType.TAG,
    pb.FIELD_TYPE_NUMBER: FieldType.NUMBER,
    pb.FIELD_TYPE_TIME: FieldType.TIME,
    pb.FIELD_TYPE_GEO: FieldType.GEO,
}
_WIRE_FIELD_TYPES = {kind: number for number, kind in _FIELD_TYPES.items()}


def fields(wire: Iterable[pb.Field]) -> dict[str, FieldType]:
    return {field.name: _FIELD_TYPES[field.type] for field in wire}


def collection(known: Collection, count: int) -> pb.Collection:
    return pb.Collection(
        name=known.name,
        fingerprint=known.fingerprint,
        dimensions=known.dimensions,
        fields=[pb.Field(name=name, type=_WIRE_FIELD_TYPES[kind]) for name, kind in known.fields.items()],
        count=count,
        recall_weight=known.recall_weight,
        model=known.model,
        calibration=_wire_calibration(known.calibration),
        language=known.language,
    )


def calibration(wire: pb.SetCalibrationRequest) -> Calibration | None:
    """What was asked for, checked before."""
    if not wire.HasField("calibration"):
        return None
    asked = wire.calibration
    if asked.HasField("platt"):
        return Calibration(asked.rerank_fingerprint, Platt(asked.platt.slope, asked.platt.intercept))
    points = asked.isotonic
    return Calibration(asked.rerank_fingerprint, Isotonic(tuple(points.logits), tuple(points.probabilities)))


def _wire_calibration(known: Calibration | None) -> pb.Calibration | None:
    if known is None:
        return None
    wire = pb.Calibration(rerank_fingerprint=known.fingerprint)
    match known.probability:
        case Platt(slope, intercept):
            wire.platt.CopyFrom(pb.Platt(slope=slope, intercept=intercept))
        case Isotonic(logits, probabilities):
            wire.isotonic.CopyFrom(pb.Isotonic(logits=logits, probabilities=probabilities))
    return wire


def incoming(place: int, wire: pb.Document) -> Incoming:
    """Raises InvalidArgument("metadata") for what JSON has no words for."""
    try:
        metadata = _plain_object(wire.metadata)
    except ValueError as error:
        raise InvalidArgument("metadata", str(error)) from error
    return Incoming(Document(wire.id, wire.text, wire.title, written(metadata)), metadata, place)


def errors(intake: Intake) -> list[pb.DocumentError]:
    return [pb.DocumentError(index=one.place, id=one.id, field=one.field, message=one.message) for one in intake.errors]


def document(stored: Document) -> pb.Document:
    return pb.Document(id=stored.id, text=stored.text, title=stored.title, metadata=_struct(stored.metadata))


def query(request: pb.SearchRequest) -> Query:
    return Query(
        collection=request.collection,
        text=request.query,
        top_k=request.top_k,
        depth=request.recall_depth,
        mode=RecallMode(request.recall or pb.RECALL_MODE_VECTOR),
        rerank=request.rerank != pb.RERANK_MODE_OFF,
        min_score=request.min_score if request.HasField("min_score") else None,
        filter=request.filter,
        recall_weight=request.recall_weight if request.HasField("recall_weight") else None,
        budget_s=request.budget_ms / 1000 or None,
        min_probability=request.min_probability if request.HasField("min_probability") else None,
        collapse=request.collapse,
        adaptive=request.adaptive,
        words_weight=request.words_weight if request.HasField("words_weight") else 0.5,
    )


def found(result: Found, request: pb.SearchRequest) -> pb.SearchResponse:
    return_fields = request.return_fields
    return pb.SearchResponse(
        hits=[_hit(hit, frozenset(return_fields)) for hit in result.hits],
        degraded=[f"DEGRADED_{reason.name}" for reason in result.degraded],
        timings=pb.Timings(
            embed_us=result.embed.micros,
            recall_us=result.recall.micros,
            rerank_us=result.rerank.micros,
            embedding_cached=result.cached,
        ),
        embed_fingerprint=result.embed_fingerprint,
        rerank_fingerprint=result.rerank_fingerprint,
        recalled=result.recalled,
        reranked=result.reranked,
        explanation=_explanation(result) if request.explain else None,
    )


def _explanation(result: Found) -> pb.Explanation:
    return pb.Explanation(
        nearest=[pb.Candidate(id=one.document.id, score=one.cosine or 0.0) for one in result.nearest],
        matching=[pb.Candidate(id=one.document.id, score=one.bm25 or 0.0) for one in result.matching],
    )


def _hit(hit: Hit, wanted: frozenset[str]) -> pb.Hit:
    passage, stored = hit.passage, hit.passage.document
    return pb.Hit(
        id=stored.id,
        title=stored.title if not wanted or "title" in wanted else "",
        text=stored.text if not wanted or "text" in wanted else "",
        metadata=_struct(stored.metadata, wanted),
        recall_rank=hit.recall_rank,
        recall_score=hit.recall_score,
        rerank_score=hit.probability,
        rerank_logit=hit.logit,
        score=hit.score,
        vector_rank=passage.vector_rank,
        text_rank=passage.text_rank,
        probability=hit.calibrated,
        collapsed=hit.collapsed,
    )


def _struct(metadata: str, wanted: frozenset[str] = frozenset()) -> struct_pb2.Struct | None:
    if not metadata:
        return None
    values = json.loads(metadata)
    if wanted:
        values = {name: value for name, value in values.items() if name in wanted}
    return json_format.ParseDict(values, struct_pb2.Struct())


def _plain_object(struct: struct_pb2.Struct) -> dict[str, Json]:
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: struct_pb2.Value) -> Json:
    """The value as JSON has it. Raises ValueError for what JSON has no word for."""
    match value.WhichOneof("kind"):
        case "struct_value":
            return _plain_object(value.struct_value)
        case "list_value":
            return [_plain(one) for one in value.list_value.values]
        case "number_value" if not math.isfinite(value.number_value):
            raise ValueError("holds a number that is not finite")
        case "null_value":
            return None
        case None:
            raise ValueError("holds a value without a kind")
        case kind:
            plain: Json = getattr(value, kind)
            return plain
