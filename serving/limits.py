"""Checks that every service makes of what it is sent; each error names the field and the limit."""

import time
from collections.abc import Mapping
from typing import Any, TypeVar

from serving import clock
from serving.errors import InvalidArgument

T = TypeVar("T")

# Reasons that dialects of HTTP have statuses of their own for.
EMPTY, TOO_MANY_ITEMS, TOO_LONG = "EMPTY", "TOO_MANY_ITEMS", "TOO_LONG"


def check_count(field: str, count: int, limit: int) -> None:
    """1 to `limit` items."""
    if count == 0:
        raise InvalidArgument(field, f"empty; 1 to {limit} are needed", reason=EMPTY)
    if count > limit:
        raise InvalidArgument(field, f"{count} items; the limit is {limit} per request", reason=TOO_MANY_ITEMS)


def check_text(field: str, text: str, limit: int, *, empty: bool = False) -> None:
    """At most `limit` bytes of UTF-8; not empty unless allowed."""
    if not text and not empty:
        raise InvalidArgument(field, f"empty; 1 to {limit} bytes are needed", reason=EMPTY)
    # Characters first: a text can't have fewer bytes, and seldom needs counting.
    if len(text) > limit or (len(text) * 4 > limit and len(text.encode()) > limit):
        raise InvalidArgument(field, f"{len(text.encode())} bytes; the limit is {limit}", reason=TOO_LONG)


def check_choice(field: str, choices: Mapping[Any, T], value: int) -> T:
    """What an enum's number stands for."""
    if value not in choices:
        raise InvalidArgument(field, f"{value} is not one of its values, 0 to {max(choices)}")
    return choices[value]


def deadline_of(context: clock.Timed) -> float | None:
    """The caller's deadline in time.monotonic seconds, None when it set none."""
    left = clock.left(context)
    return None if left is None else time.monotonic() + left
