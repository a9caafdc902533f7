"""Filters and words as query-engine syntax (dialect 2).

Nothing that a user typed is ever part of a query: field names are checked when a collection is made, numbers are
printed by us, tags are compared as digests of their values, and words of a text query are runs of word characters.
"""

import hashlib
from collections.abc import Sequence

from gateway.recall import ENGLISH, words
from gateway.recall.filter import All, AnyOf, Compare, Filter, In, Not, Within

MAX_WORDS = 64


def tag(value: str | bool) -> str:
    """What stands for a tag's value in the index: 32 hex digits. `true` and `"true"` are different tags."""
    typed = ("b" if isinstance(value, bool) else "s") + str(value)
    return hashlib.blake2b(typed.encode(), digest_size=16).hexdigest()


def tag_attribute(field: str) -> str:
    """Name of a tag field in the index's schema and in the stored hash."""
    return f"t_{field}"


def number_attribute(field: str) -> str:
    """Name of a number or time field in the index's schema and in the stored hash."""
    return f"n_{field}"


def place_attribute(field: str) -> str:
    """Name of a place field in the index's schema and in the stored hash."""
    return f"g_{field}"


def compile_filter(tree: Filter | None) -> str:
    """The query that matches what the filter matches; `*` for none."""
    return "*" if tree is None else _compile(tree)


def compile_words(text: str, language: str = ENGLISH) -> str | None:
    """A query for documents with any of the text's words, None when it has none. At most MAX_WORDS of each kind."""
    whole, pairs = words.words(text, language)[:MAX_WORDS], list(dict.fromkeys(words.pairs(text)))[:MAX_WORDS]
    parts = [f"@title|text:({'|'.join(whole)})"] if whole else []
    parts += [f"@pairs:({'|'.join(pairs)})"] if pairs else []
    return f"({'|'.join(parts)})" if parts else None


def _compile(tree: Filter) -> str:
    match tree:
        case Compare(field, operator, value):
            return f"@{number_attribute(field)}:[{_range(operator, value)}]"
        case In(field, values) if isinstance(values[0], float):
            ranges = (f"@{number_attribute(field)}:[{value!r} {value!r}]" for value in values)
            return f"({'|'.join(ranges)})"
        case In(field, values):
            return f"@{tag_attribute(field)}:{{{_alternatives(values)}}}"
        case Within(field, distance, unit, place):
            return f"@{place_attribute(field)}:[{place.lon:.12f} {place.lat:.12f} {distance:.6f} {unit}]"
        case Not(operand):
            return f"(-({_compile(operand)}))"
        case All(operands):
            return f"({' '.join(map(_compile, operands))})"
        case AnyOf(operands):
            return f"({'|'.join(map(_compile, operands))})"


def _alternatives(values: Sequence[str | float | bool]) -> str:
    return "|".join(tag(value) for value in values if not isinstance(value, float))


def _range(operator: str, value: float) -> str:
    return {
        "<": f"-inf ({value!r}",
        "<=": f"-inf {value!r}",
        ">": f"({value!r} +inf",
        ">=": f"{value!r} +inf",
    }[operator]
