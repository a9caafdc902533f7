"""The filter language: what parses to what, and where it points when it does not."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.recall import FieldType
from gateway.recall.filter import MAX_DEPTH, All, AnyOf, Compare, In, Not, parse
from gateway.recall.query import compile_filter, compile_words, tag
from serving.errors import InvalidArgument

BELOW_1, ABOVE_2, ABOVE_3 = Compare("year", "<", 1), Compare("year", ">", 2), Compare("year", ">", 3)
FIELDS = {"lang": FieldType.TAG, "year": FieldType.NUMBER, "draft": FieldType.TAG}


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", None),
        (" \n ", None),
        ('lang = "en"', In("lang", ("en",))),
        ("lang='en'", In("lang", ("en",))),
        (r'lang = "a\"b\\c"', In("lang", ('a"b\\c',))),
        ('lang = "it\'s (AND) OR"', In("lang", ("it's (AND) OR",))),
        ("draft = true", In("draft", (True,))),
        ("draft != FALSE", Not(In("draft", (False,)))),
        ("year >= 2020", Compare("year", ">=", 2020.0)),
        ("year < -1.5e3", Compare("year", "<", -1500.0)),
        ("year = .5", In("year", (0.5,))),
        ("year not in (1, 2)", Not(In("year", (1.0, 2.0)))),
        ('lang IN ("a", "b")', In("lang", ("a", "b"))),
        ("year<1 or year>2 and year>3", AnyOf((BELOW_1, All((ABOVE_2, ABOVE_3))))),
        ("(year<1 or year>2), year>3", All((AnyOf((BELOW_1, ABOVE_2)), ABOVE_3))),
        ("NOT NOT year>3", Not(Not(Compare("year", ">", 3)))),
    ],
)  # fmt: skip
def test_trees(text: str, tree: object) -> None:
    assert parse(text, FIELDS) == tree


@pytest.mark.parametrize(
    ("text", "position", "told"),
    [
        ("lang", 5, "expected a comparison or IN"),
        ("lang =", 7, "expected a string in quotes"),
        ("lang = en", 8, "expected a string in quotes"),
        ("lang = 5", 8, "expected a string in quotes"),
        ('year = "5"', 8, "expected a number"),
        ("year = true", 8, "expected a number"),
        ("year > 1e999", 8, "too large"),
        ('lang > "a"', 6, "is a tag"),
        ("colour = 1", 1, "unknown field 'colour' (fields of the collection: draft, lang, year)"),
        ("year = 1 year = 2", 10, "expected AND, OR or the end"),
        ("year = 1 AND", 13, "expected a field"),
        ("(year = 1", 10, "expected a closing parenthesis"),
        ("year = 1)", 9, "expected AND, OR or the end"),
        ("year IN ()", 10, "expected a number"),
        ("year IN (1,)", 12, "expected a number"),
        ("year IN 1", 9, "expected an opening parenthesis"),
        ("year NOT = 1", 10, "expected IN"),
        ('lang = "open', 8, "unexpected '\"open'"),
        ("year = 1; drop", 9, "unexpected '; drop'"),
        ("year ( 1", 6, "expected a comparison or IN"),
        ("year = 12abc", 8, "unexpected"),
        ("@lang:{en}", 1, "unexpected"),
        ("AND", 1, "expected a field"),
        ("(" * 100 + "year=1", MAX_DEPTH + 1, "deeper"),
        ("NOT " * 5000, None, "deeper"),
        ("year in (" + "1," * 2000 + "1)", None, "more values"),
    ],
)
def test_errors_point_at_the_place(text: str, position: int | None, told: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(text, FIELDS)
    assert caught.value.field == "filter"
    assert told in str(caught.value)
    if position is not None:
        assert str(caught.value).endswith(f"at position {position}")


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with suppress(InvalidArgument):
        compile_filter(parse(text, FIELDS))


@given(st.text())
def test_no_value_reaches_the_query(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    assert compile_filter(parse(f'lang = "{quoted}"', FIELDS)) == f"@t_lang:{{{tag(value)}}}"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_every_digit(value: float) -> None:
    assert parse(f"year = {value!r}", FIELDS) == In("year", (value,))
    assert compile_filter(parse(f"year > {value!r}", FIELDS)) == f"@n_year:[({value!r} +inf]"


def test_queries() -> None:
    a, b = tag("a"), tag("b")
    text = 'NOT lang IN ("a", "b") AND (year = 1 OR year != 2)'
    expected = f"((-(@t_lang:{{{a}|{b}}})) ((@n_year:[1.0 1.0])|(-((@n_year:[2.0 2.0])))))"
    assert compile_filter(parse(text, FIELDS)) == expected
    assert compile_filter(None) == "*"


def test_a_boolean_is_another_tag_than_its_name() -> None:
    assert tag(True) != tag("True")
    assert tag(True) != tag("true")
    assert len(tag("x" * 10_000)) == 32


@given(st.text())
def test_words_hold_nothing_but_word_characters(text: str) -> None:
    query = compile_words(text)
    if query is not None:
        parts = re.fullmatch(r"\((?:@title\|text:\(([^()]*)\))?\|?(?:@pairs:\(([^()]*)\))?\)", query)
        assert parts
        for part in filter(None, parts.groups()):
            words = part.split("|")
            assert all(word.isalnum() for word in words)
            assert len(set(words)) == len(words) <= 64


def test_words() -> None:
    assert compile_words("Don't -panic @title:{x}") == "(@title|text:(don|t|panic|title|x))"
    assert compile_words("Python 北京是") == "(@title|text:(python)|@pairs:(北京|京是))"
    assert compile_words("北") == "(@pairs:(北))"
    assert compile_words("!? --") is None
