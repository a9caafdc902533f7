from hypothesis import given
from hypothesis import strategies as st

from siftline.passages import cut


@given(st.text(alphabet="ab \n.。\t", max_size=400), st.integers(1, 50))
def test_passages_hold_every_word_in_order_and_keep_the_limit(text: str, limit: int) -> None:
    passages = list(cut(text, limit))
    assert "".join("".join(passages).split()) == "".join(text.split())
    assert all(0 < len(passage) <= limit and passage == passage.strip() for passage in passages)


def test_paragraphs_are_kept_whole_as_long_as_they_fit() -> None:
    assert list(cut("one\n\ntwo\n\nthree four", 10)) == ["one\n\ntwo", "three four"]


def test_long_paragraph_is_cut_at_lines_then_sentences_then_spaces() -> None:
    assert list(cut("first line\nsecond line", 12)) == ["first line", "second line"]
    assert list(cut("A b. C d.", 5)) == ["A b.", "C d."]
    assert list(cut("aaaa bbbb", 5)) == ["aaaa", "bbbb"]
    assert list(cut("abcdef", 4)) == ["abcd", "ef"]


def test_nothing_gives_nothing() -> None:
    assert list(cut(" \n\n ")) == []
