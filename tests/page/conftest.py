"""The search page in a real browser, headless, against the running stack."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

import siftline
from siftline import Document
from tests.running.stack import RunningStack, eventually

COLLECTION = "page-tests"
QUESTION = "Which bird can swim?"
HOSTILE = "<img src=x onerror=alert(1)><script>window.pwned = true</script>\u202e\0"
DOCUMENTS = [
    Document("duck", "A duck is a bird that swims on ponds.\n\nIt dives, too.", "Duck", {"kind": "bird", "legs": 2}),
    Document("eagle", "An eagle is a bird that hunts from the air.", "Eagle", {"kind": "bird", "legs": 2}),
    Document("trout", "A trout swims in rivers.", "Trout", {"kind": "fish", "legs": 0}),
    Document("horse", "A horse eats grass.", "Horse", {"kind": 'mam"mal\\', "legs": 4}),
    Document("swim", "Which bird can swim? Nobody answered the question.", metadata={"kind": "question"}),
    Document(
        HOSTILE.replace("\0", ""),
        f"A swimming bird {HOSTILE}".replace("\0", ""),
        HOSTILE.replace("\0", ""),
        {"kind": HOSTILE.replace("\0", ""), "<b>name</b>": {"deep": "<i>value</i>"}},
    ),
    *(Document(f"stone-{n}", f"Stone number {n} lies by the sea.", f"Stone {n}", {"kind": "stone"}) for n in range(14)),
]


SECONDS = 30.0
expect.set_options(timeout=SECONDS * 1000)


@dataclass
class Shown:
    """The page in one browser tab, with everything that it loaded and complained of."""

    page: Page
    base: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, **wishes: str) -> None:
        """With these wishes in the address; nothing is waited for."""
        self.page.goto(f"{self.base}/#{urlencode(wishes)}")

    def ask(self, question: str = QUESTION, **wishes: str) -> None:
        self.open(c=COLLECTION, q=question, **wishes)
        self.settled()

    def settled(self) -> None:
        """Both stages have answered and the passages are where they belong."""
        self.page.locator("#results[aria-busy=false]:not(.pending)").wait_for()

    def until(self, condition: str) -> None:
        """In JavaScript. (Page.wait_for_function evaluates strings within the page, which its policy forbids.)"""
        eventually(lambda: bool(self.page.evaluate(condition)), SECONDS)

    def row(self, side: str, document: str) -> Locator:
        return self.page.locator(f'.{side} button.row[data-id="{document}"]')

    def order(self, side: str) -> list[str]:
        """Ids as they are listed, "recalled" or "reranked"."""
        return list(self.page.eval_on_selector_all(f".{side} button.row", "rows => rows.map(row => row.dataset.id)"))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        message = "no Chromium on this machine (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def base(shared_stack: RunningStack) -> Iterator[str]:
    """URL of a gateway that has the collection, without the slash at its end."""
    with siftline.Client(shared_stack.endpoints["gateway"]) as client:
        client.create_collection(COLLECTION, {"kind": "tag", "legs": "number"})
        client.upsert(COLLECTION, DOCUMENTS)
        yield shared_stack.endpoints["gateway_http"]
        client.drop_collection(COLLECTION)


@pytest.fixture
def context_options() -> dict[str, Any]:
    """Of the browser; a test that wants others overrides this. Without motion, nothing has to be waited for."""
    return {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}


@pytest.fixture
def shown(browser: Browser, base: str, context_options: dict[str, Any]) -> Iterator[Shown]:
    yield from tab(browser, base, context_options)


def tab(browser: Browser, base: str, options: dict[str, Any]) -> Iterator[Shown]:
    """A tab with storage of its own. Whatever a test does, nothing may be loaded from anywhere else."""
    context = browser.new_context(**options)
    context.set_default_timeout(SECONDS * 1000)
    page = context.new_page()
    shown = Shown(page, base)
    page.on("request", lambda request: shown.requests.append(request.url))
    page.on("pageerror", lambda error: shown.complaints.append(str(error)))
    page.on("console", lambda message: shown.complaints.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: (shown.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield shown
    context.close()
    assert {url for url in shown.requests if not url.startswith(f"{base}/")} == set()
