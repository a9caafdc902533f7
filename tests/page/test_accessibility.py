"""axe finds nothing, in any state; phones, themes, motion."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.page.conftest import COLLECTION, Shown

PHONE = {"width": 390, "height": 844}
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": PHONE}


@pytest.fixture(params=[(scheme, size) for scheme in ("light", "dark") for size in SIZES], ids="-".join)
def context_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    scheme, size = request.param
    return {"viewport": SIZES[size], "color_scheme": scheme, "reduced_motion": "reduce"}


def _violations(shown: Shown) -> list[str]:
    found = Axe().run(shown.page).response["violations"]
    return [f"{each['id']}: {node['html'][:120]}: {node['failureSummary']}" for each in found for node in each["nodes"]]


def test_axe_finds_nothing(shown: Shown) -> None:
    shown.open(c=COLLECTION)
    expect(shown.page.locator("#welcome")).to_be_visible()
    assert _violations(shown) == []
    shown.ask(recall="hybrid", floor="0.5")
    assert shown.page.locator("li.sunk").count() > 0
    assert _violations(shown) == []
    adjust = shown.page.locator("#adjust")
    if adjust.is_visible():
        adjust.click()
    shown.page.locator(".reranked button.row").nth(1).click()
    shown.page.locator("#filter").fill("wings = 1")
    shown.page.locator("#filter").press("Enter")
    shown.page.locator("#filter-problem:not([hidden])").wait_for()
    assert _violations(shown) == []
    shown.page.keyboard.press("Escape")
    shown.page.keyboard.press("ArrowDown")
    shown.page.keyboard.press("?")
    assert _violations(shown) == []


def test_nothing_is_wider_than_the_screen(shown: Shown) -> None:
    shown.ask()
    for row in shown.page.locator(".reranked button.row").all()[:6]:
        row.click()
    for width in (320, 390, 700, 900, 1280):
        shown.page.set_viewport_size({"width": width, "height": 800})
        assert shown.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_theme_can_be_chosen_and_is_remembered(shown: Shown) -> None:
    shown.open(c=COLLECTION)
    system = shown.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark, light = "rgb(19, 19, 18)", "rgb(252, 251, 249)"
    assert shown.page.evaluate(ground) == (dark if system else light)
    theme = shown.page.locator("#theme")
    theme.click()
    assert shown.page.evaluate(ground) == light
    theme.click()
    assert shown.page.evaluate(ground) == dark
    shown.page.reload()
    expect(theme).to_have_text("Dark")
    assert shown.page.evaluate(ground) == dark
