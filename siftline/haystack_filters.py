"""Haystack's filters, dictionaries of conditions, as the text that siftline's searches take."""

from typing import Any

Filters = dict[str, Any]

_COMPARISONS = {"==": "=", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<=", "in": "IN", "not in": "NOT IN"}


def as_text(filters: Filters) -> str:
    """For example `(lang = "en" AND year >= 2020)`. Raises ValueError for an operator that there is not."""
    operator = filters.get("operator")
    if "conditions" in filters:
        return _joined(str(operator).upper(), [as_text(each) for each in filters["conditions"]])
    if operator not in _COMPARISONS:
        raise ValueError(f"filters: operator {operator!r} is none of {', '.join(_COMPARISONS)}")
    return f"{str(filters['field']).removeprefix('meta.')} {_COMPARISONS[operator]} {_value(filters['value'])}"


def _joined(operator: str, conditions: list[str]) -> str:
    if operator == "NOT":  # of all of them together
        return f"NOT {_joined('AND', conditions)}"
    if operator not in ("AND", "OR"):
        raise ValueError(f"filters: operator {operator!r} is none of AND, OR, NOT")
    return f"({f' {operator} '.join(conditions)})"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple | set):
        return f"({', '.join(_value(each) for each in value)})"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
