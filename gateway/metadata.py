"""Documents with metadata as values: whether it fits a collection's fields, and what the index holds of it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from gateway.intake import Intake
from gateway.recall import Collection, Document, FieldType, Indexed, Place
from gateway.recall.values import seconds_of, wrong_place
from serving.errors import InvalidArgument

MAX_TAGS = 256

Json: TypeAlias = "None | bool | float | str | list[Json] | dict[str, Json]"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A document as it came, with its metadata as values, and its place among all of the call."""

    document: Document
    metadata: Mapping[str, Json] = field(default_factory=dict)
    place: int = 0


def written(metadata: Mapping[str, Json]) -> str:
    """As a document holds it."""
    return json.dumps(metadata, ensure_ascii=False, separators=(",", ":")) if metadata else ""


def read(text: str) -> Mapping[str, Json]:
    """What `written` made of it."""
    values: Mapping[str, Json] = json.loads(text) if text else {}
    return values


def fitting(collection: Collection, documents: Sequence[Incoming], intake: Intake) -> list[Incoming]:
    """The documents whose metadata fits the collection's fields, as far as `intake` lets the others pass."""
    taken = (intake.take(one.place, one.document.id, partial(fit, collection, one)) for one in documents)
    return [one for one in taken if one is not None]


def fit(collection: Collection, incoming: Incoming) -> Incoming:
    """The document. Raises InvalidArgument("metadata.FIELD") when its metadata does not fit the collection's fields."""
    for name, kind in collection.fields.items():
        if problem := _problem(kind, incoming.metadata.get(name)):
            raise InvalidArgument(f"metadata.{name}", problem)
    return incoming


def _problem(kind: FieldType, value: Json) -> str:
    if value is None:
        return ""
    match kind:
        case FieldType.NUMBER:
            return "" if _number(value) is not None else "is not a finite number, as the collection's field is"
        case FieldType.TIME:
            return _time_problem(value)
        case FieldType.GEO:
            return _place_problem(value)
        case FieldType.TAG:
            return _tag_problem(value)


def _tag_problem(value: Json) -> str:
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_TAGS:
        return f"{len(values)} tags are more than the limit of {MAX_TAGS}"
    fits = all(isinstance(one, str | bool) for one in values)
    return "" if fits else "is neither a string nor a list of strings, as the collection's tag field is"


def _time_problem(value: Json) -> str:
    if not isinstance(value, str):
        return "is not a string with a time, as the collection's field is"
    try:
        seconds_of(value)
    except ValueError as error:
        return str(error)
    return ""


def _place_problem(value: Json) -> str:
    place = _place(value)
    if place is None:
        return 'is not {"lat": degrees, "lon": degrees}, as the collection\'s field is'
    return wrong_place(place.lat, place.lon)


def _number(value: Json) -> float | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if fits and isinstance(value, int | float) else None


def _place(value: Json) -> Place | None:
    if not isinstance(value, dict) or value.keys() != {"lat", "lon"}:
        return None
    lat, lon = _number(value["lat"]), _number(value["lon"])
    return None if lat is None or lon is None else Place(lat, lon)


def indexed(collection: Collection, incoming: Incoming, vector: bytes) -> Indexed:
    """The document with the values of the collection's fields, which have been found to fit."""
    tags: dict[str, Sequence[str | bool]] = {}
    numbers: dict[str, float] = {}
    places: dict[str, Place] = {}
    for name, kind in collection.fields.items():
        value = incoming.metadata.get(name)
        if value is None:
            continue
        if kind is FieldType.NUMBER:
            numbers[name] = _number(value) or 0.0
        elif kind is FieldType.TIME:
            numbers[name] = seconds_of(str(value))
        elif kind is FieldType.GEO:
            places[name] = _place(value) or Place(0.0, 0.0)
        else:
            values = value if isinstance(value, list) else [value]
            tags[name] = [one for one in values if isinstance(one, str | bool)]
    return Indexed(incoming.document, vector, tags, numbers, places)
