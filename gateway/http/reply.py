"""A reply, and JSON both ways."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from serving.errors import InvalidArgument

T = TypeVar("T")

JSON = "application/json"


@dataclass(slots=True)
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON
    dialect: str = ""  # where it is not that of the route


def json_reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """`body` of msgspec structs and plain values; float32 arrays become lists of the shortest numbers."""
    return Reply(status, _ENCODER.encode(body), headers or {})


def parsed(body: bytes, kind: type[T]) -> T:
    """The body as a struct. Raises InvalidArgument naming the field and what was expected there."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _named(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument("body", f"is not JSON: {error}") from error


def _named(problem: str) -> InvalidArgument:
    """From msgspec's words: where in the body, and what was expected."""
    problem, _, path = problem.partition(" - at `$")
    absent = re.search(r"(?:missing required|contains unknown) field `(.*)`", problem)
    field = ".".join(part for part in (path.strip(".`"), absent[1] if absent else "") if part)
    return InvalidArgument(field or "body", problem)


def _array(value: Any) -> msgspec.Raw:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value)} has no JSON form")
    array: NDArray[Any] = np.ascontiguousarray(value)
    return msgspec.Raw(orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY))


_ENCODER = msgspec.json.Encoder(enc_hook=_array)
