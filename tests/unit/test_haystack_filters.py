"""Haystack's filters as ours: what the gateway reads of them is what they mean."""

import pytest

from gateway.recall import FieldType
from gateway.recall.filter import All, AnyOf, Compare, In, Not, parse
from siftline.haystack_filters import as_text

FIELDS = {"lang": FieldType.TAG, "year": FieldType.NUMBER}
OLD = {"field": "meta.year", "operator": "<", "value": 2000}
ODD = {"field": "lang", "operator": "==", "value": 'a "b\\" OR c'}


def _meaning(filters: dict[str, object]) -> object:
    return parse(as_text(filters), FIELDS)


def test_comparisons() -> None:
    assert _meaning(OLD) == Compare("year", "<", 2000.0)
    assert _meaning({"field": "meta.lang", "operator": "in", "value": ["en", "de"]}) == In("lang", ("en", "de"))
    assert _meaning({"field": "meta.lang", "operator": "not in", "value": ["en"]}) == Not(In("lang", ("en",)))
    assert _meaning({"field": "meta.lang", "operator": "!=", "value": True}) == Not(In("lang", (True,)))


def test_a_value_stays_a_value() -> None:
    assert _meaning(ODD) == In("lang", ('a "b\\" OR c',))


def test_conditions_nest() -> None:
    either = {"operator": "OR", "conditions": [OLD, ODD]}
    assert _meaning({"operator": "AND", "conditions": [either, OLD]}) == All(
        (AnyOf((_meaning(OLD), _meaning(ODD))), _meaning(OLD))  # type: ignore[arg-type]
    )
    assert _meaning({"operator": "NOT", "conditions": [OLD, ODD]}) == Not(All((_meaning(OLD), _meaning(ODD))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "filters",
    [{"field": "a", "operator": "like", "value": 1}, {"operator": "XOR", "conditions": [OLD]}, {}],
)
def test_an_operator_that_there_is_not_is_named(filters: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="operator"):
        as_text(filters)
