"""The filter language: text to a tree.

    filter     := or
    or         := and ("OR" and)*
    and        := not ("AND" not)*        a comma is AND too
    not        := "NOT" not | "(" or ")" | comparison
    comparison := FIELD ("=" | "!=" | "<" | "<=" | ">" | ">=") value
                | FIELD ["NOT"] "IN" "(" value ("," value)* ")"
                | FIELD "WITHIN" number ("m" | "km" | "mi" | "ft") "OF" "(" number "," number ")"    latitude, longitude
    value      := "string" | 'string' | number | true | false       a time is a string: "2024-05-01T12:00:00Z"

Words of the language are case-insensitive. Inside a string, a backslash takes the next character as it is.
`a != 1` is `NOT a = 1`: documents without the field match it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.recall import FieldType, Place
from gateway.recall.values import seconds_of, wrong_place
from serving.errors import InvalidArgument

MAX_DEPTH = 32
MAX_VALUES = 1000
MAX_DISTANCE = 50_000_000.0  # more than round the world, in the smallest unit
UNITS = ("M", "KM", "MI", "FT")

Value: TypeAlias = str | float | bool


@dataclass(frozen=True, slots=True)
class Compare:
    """`operator` is one of < <= > >=, on a number or a time (seconds since 1970)."""

    field: str
    operator: str
    value: float


@dataclass(frozen=True, slots=True)
class In:
    """The field has one of the values."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """The field's place is at most `distance` from another; `unit` is m, km, mi or ft."""

    field: str
    distance: float
    unit: str
    place: Place


@dataclass(frozen=True, slots=True)
class Not:
    operand: "Filter"


@dataclass(frozen=True, slots=True)
class All:
    operands: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    operands: tuple["Filter", ...]


Filter: TypeAlias = Compare | In | Within | Not | All | AnyOf

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<mark><=|>=|!=|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_KEYWORDS = ("AND", "OR", "NOT", "IN", "TRUE", "FALSE")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # string, number, mark, end, FIELD or the keyword itself
    text: str
    position: int


def parse(text: str, fields: Mapping[str, FieldType]) -> Filter | None:
    """The tree, None for a blank text. Raises InvalidArgument("filter") naming the position, from 1."""
    tokens = _tokens(text)
    return None if tokens[0].kind == "end" else _Parser(tokens, fields).parse()


def _tokens(text: str) -> list[_Token]:
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            raise _error(f"unexpected {text[start : start + 10]!r}", start)
        kind, value = str(match.lastgroup), match[str(match.lastgroup)]
        if kind == "word":
            kind = value.upper() if value.upper() in _KEYWORDS else "FIELD"
        tokens.append(_Token(kind, value, match.start(str(match.lastgroup))))
        position = match.end()
    return [*tokens, _Token("end", "end of the filter", end)]


class _Parser:
    """Recursive descent over the tokens, one method a rule."""

    def __init__(self, tokens: list[_Token], fields: Mapping[str, FieldType]) -> None:
        self._tokens = tokens
        self._fields = fields
        self._at = 0
        self._depth = 0
        self._values = 0

    def parse(self) -> Filter:
        tree = self._or()
        self._expect("end", "AND, OR or the end of the filter")
        return tree

    def _or(self) -> Filter:
        operands = [self._and()]
        while self._accept("OR"):
            operands.append(self._and())
        return operands[0] if len(operands) == 1 else AnyOf(tuple(operands))

    def _and(self) -> Filter:
        operands = [self._not()]
        while self._accept("AND") or self._accept("mark", ","):
            operands.append(self._not())
        return operands[0] if len(operands) == 1 else All(tuple(operands))

    def _not(self) -> Filter:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _error(f"nested deeper than the limit of {MAX_DEPTH}", self._next.position)
        tree: Filter
        if self._accept("NOT"):
            tree = Not(self._not())
        elif self._accept("mark", "("):
            tree = self._or()
            self._expect("mark", "a closing parenthesis", ")")
        else:
            tree = self._comparison()
        self._depth -= 1
        return tree

    def _comparison(self) -> Filter:
        name = self._expect("FIELD", "a field, NOT or a parenthesis")
        if name.text not in self._fields:
            known = ", ".join(sorted(self._fields)) or "none"
            raise _error(f"unknown field {name.text!r:.80} (fields of the collection: {known:.400})", name.position)
        if self._fields[name.text] is FieldType.GEO:
            return self._within(name.text)
        if self._next.kind in ("IN", "NOT"):
            negated = self._accept("NOT")
            self._expect("IN", "IN")
            found: Filter = In(name.text, self._list(name.text))
            return Not(found) if negated else found
        operator = self._expect("mark", "a comparison or IN")
        if operator.text in ("=", "!="):
            found = In(name.text, (self._value(name.text),))
            return found if operator.text == "=" else Not(found)
        if operator.text not in ("<", "<=", ">", ">="):
            raise _error(f"expected a comparison or IN, not {operator.text!r}", operator.position)
        if self._fields[name.text] is FieldType.TAG:
            raise _error(f"{name.text!r} is a tag: only =, != and IN compare it", operator.position)
        return Compare(name.text, operator.text, float(self._value(name.text)))

    def _within(self, field: str) -> Filter:
        """No keywords of the language: a field may be called "of"."""
        self._word("WITHIN", "WITHIN (the field is a place)")
        distance = self._expect("number", "a distance")
        unit = self._word(UNITS, "m, km, mi or ft")
        self._word("OF", "OF")
        self._expect("mark", "an opening parenthesis", "(")
        lat = self._expect("number", "a latitude")
        self._expect("mark", "a comma", ",")
        lon = self._expect("number", "a longitude")
        self._expect("mark", "a closing parenthesis", ")")
        place = Place(_number(lat), _number(lon))
        if problem := wrong_place(place.lat, place.lon):
            raise _error(problem, lat.position)
        if not 0 <= _number(distance) <= MAX_DISTANCE:
            raise _error(f"a distance is 0 to {MAX_DISTANCE:.0f}", distance.position)
        return Within(field, _number(distance), unit.text.lower(), place)

    def _word(self, known: str | Sequence[str], wanted: str) -> _Token:
        token, words = self._next, (known,) if isinstance(known, str) else known
        if token.kind != "FIELD" or token.text.upper() not in words:
            raise _error(f"expected {wanted}, not {token.text!r:.80}", token.position)
        self._at += 1
        return token

    def _list(self, field: str) -> tuple[Value, ...]:
        self._expect("mark", "an opening parenthesis", "(")
        values = [self._value(field)]
        while self._accept("mark", ","):
            values.append(self._value(field))
        self._expect("mark", "a comma or a closing parenthesis", ")")
        return tuple(values)

    def _value(self, field: str) -> Value:
        token = self._next
        self._at += 1
        self._values += 1
        if self._values > MAX_VALUES:
            raise _error(f"more values than the limit of {MAX_VALUES}", token.position)
        wanted = self._fields[field]
        if wanted is FieldType.NUMBER and token.kind == "number":
            return _number(token)
        if wanted is FieldType.TAG and token.kind in ("TRUE", "FALSE"):
            return token.kind == "TRUE"
        if wanted is FieldType.TAG and token.kind == "string":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        if wanted is FieldType.TIME and token.kind == "string":
            return _time(token)
        raise _error(f"expected {_EXPECTED[wanted]} for {field!r}, not {token.text!r:.80}", token.position)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _accept(self, kind: str, text: str | None = None) -> bool:
        if self._next.kind != kind or (text is not None and self._next.text != text):
            return False
        self._at += 1
        return True

    def _expect(self, kind: str, wanted: str, text: str | None = None) -> _Token:
        token = self._next
        if not self._accept(kind, text):
            raise _error(f"expected {wanted}, not {token.text!r:.80}", token.position)
        return token


_EXPECTED = {
    FieldType.TAG: "a string in quotes, true or false",
    FieldType.NUMBER: "a number",
    FieldType.TIME: "a time in quotes",
}


def _time(token: _Token) -> float:
    try:
        return seconds_of(token.text[1:-1])
    except ValueError as error:
        raise _error(str(error), token.position) from error


def _number(token: _Token) -> float:
    value = float(token.text)
    if value in (float("inf"), float("-inf")):
        raise _error(f"{token.text:.40} is too large", token.position)
    return value


def _error(message: str, position: int) -> InvalidArgument:
    return InvalidArgument("filter", f"{message}, at position {position + 1}")
