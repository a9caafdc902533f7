"""Everything by keyboard."""

from playwright.sync_api import expect

from tests.page.conftest import COLLECTION, DOCUMENTS, QUESTION, Shown

FOCUSED = "() => [document.activeElement.closest('section')?.className, document.activeElement.dataset.id]"


def test_a_search_without_a_mouse(shown: Shown) -> None:
    shown.open(c=COLLECTION)
    expect(shown.page.locator("#query")).to_be_focused()
    keyboard = shown.page.keyboard
    keyboard.type(QUESTION)
    keyboard.press("Enter")
    shown.settled()
    order = shown.order("reranked")
    keyboard.press("ArrowDown")
    keyboard.press("ArrowDown")
    assert shown.page.evaluate(FOCUSED) == ["reranked", order[1]]
    keyboard.press("ArrowLeft")
    assert shown.page.evaluate(FOCUSED) == ["recalled", order[1]]
    keyboard.press("ArrowRight")
    keyboard.press("Enter")
    expect(shown.row("reranked", order[1])).to_have_attribute("aria-expanded", "true")
    keyboard.press("End")
    assert shown.page.evaluate(FOCUSED) == ["reranked", order[-1]]
    keyboard.press("Home")
    keyboard.press("ArrowUp")
    expect(shown.page.locator("#query")).to_be_focused()
    keyboard.press("ArrowDown")
    keyboard.press("Escape")
    expect(shown.page.locator("#query")).to_be_focused()


def test_the_line_of_the_focused_passage_is_brought_out(shown: Shown) -> None:
    shown.ask()
    shown.page.keyboard.press("ArrowDown")
    best = shown.order("reranked")[0]
    assert shown.page.locator("#lines path.on").get_attribute("data-id") == best
    expect(shown.row("recalled", best)).to_have_class("row on")


def test_one_row_is_in_the_tab_order(shown: Shown) -> None:
    shown.ask()
    for _ in range(3):
        shown.page.keyboard.press("ArrowDown")
    assert shown.page.locator("#results button.row[tabindex='0']").count() == 1
    expect(shown.page.locator("#results button.row[tabindex='0']")).to_be_focused()


def test_slash_and_question_mark(shown: Shown) -> None:
    shown.ask()
    keyboard = shown.page.keyboard
    keyboard.press("ArrowDown")
    keyboard.press("?")
    expect(shown.page.locator("dialog#keys")).to_be_visible()
    keyboard.press("Escape")
    expect(shown.page.locator("dialog#keys")).to_be_hidden()
    keyboard.press("/")
    expect(shown.page.locator("#query")).to_be_focused()
    keyboard.press("End")
    keyboard.type("/?")
    assert shown.page.locator("#query").input_value() == f"{QUESTION}/?"
    expect(shown.page.locator("dialog#keys")).to_be_hidden()


def test_a_question_of_several_lines_keeps_its_arrows(shown: Shown) -> None:
    shown.ask()
    keyboard = shown.page.keyboard
    keyboard.press("End")
    keyboard.press("Shift+Enter")
    keyboard.type("And which can not?")
    keyboard.press("Home")
    keyboard.press("ArrowUp")
    keyboard.press("ArrowDown")
    expect(shown.page.locator("#query")).to_be_focused()
    assert len(DOCUMENTS) == len(shown.order("reranked"))
