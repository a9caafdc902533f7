"""A gateway that asks for keys and has no reranker: the login, and what a degraded answer looks like."""

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.page.conftest import COLLECTION, DOCUMENTS, QUESTION, Shown, tab
from tests.running import gateway
from tests.running.model_service import RunningService, free_port
from tests.running.stack import RunningStack, eventually

KEY = "sk-for-the-search-page"
NO_SEARCH = "sk-for-something-else"


@dataclass(frozen=True)
class Guarded:
    base: str
    service: RunningService


@pytest.fixture(scope="module")
def guarded(shared_stack: RunningStack, base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    keys = folder / "keys.toml"
    keys.write_text(_entry(KEY, "search") + _entry(NO_SEARCH, "embed"))
    endpoints, http = shared_stack.endpoints, f"127.0.0.1:{free_port()}"
    flags = (
        f"--http={http}",
        f"--keys-file={keys}",
        f"--embed={endpoints['embed']}",
        f"--rerank=127.0.0.1:{free_port()}",
        f"--cache-url={endpoints['redis']}",
        f"--index-url={endpoints['redis']}",
    )
    service = gateway.start(folder, *flags)
    try:
        eventually(lambda: _answers(f"http://{http}/v1/collections"), gateway.READY_SECONDS)
        yield Guarded(f"http://{http}", service)
    finally:
        service.process.terminate()
        service.process.wait(60)


def _entry(secret: str, scope: str) -> str:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return f'[[keys]]\nname = "k"\nsha256 = "{digest}"\nscopes = ["{scope}"]\n'


def _answers(url: str) -> bool:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {KEY}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return any(each["name"] == COLLECTION for each in json.load(reply)["collections"])
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except (urllib.error.URLError, ConnectionError):
        return False


@pytest.fixture
def shown(browser: Browser, guarded: Guarded, context_options: dict[str, Any]) -> Iterator[Shown]:
    yield from tab(browser, guarded.base, context_options)


def _enter(shown: Shown, key: str) -> None:
    shown.page.get_by_label("API key").fill(key)
    shown.page.get_by_role("button", name="Continue").click()


def test_a_key_opens_the_page_and_stays_in_the_tab(shown: Shown, guarded: Guarded) -> None:
    shown.open(c=COLLECTION, q=QUESTION)
    expect(shown.page.get_by_label("API key")).to_be_focused()
    expect(shown.page.locator("#query")).to_be_hidden()
    _enter(shown, "sk-wrong")
    expect(shown.page.locator("#refused")).to_contain_text("not known here")
    _enter(shown, KEY)
    shown.settled()
    assert len(shown.order("recalled")) == len(DOCUMENTS)
    shown.page.reload()
    shown.settled()
    kept = shown.page.evaluate("[Object.values(sessionStorage), Object.values(localStorage), document.cookie]")
    assert kept == [[KEY], ["auto"], ""]
    assert not any("sk-" in url for url in [shown.page.url, *shown.requests])
    assert "sk-" not in guarded.service.log.read_text()
    shown.page.get_by_role("button", name="Forget key").click()
    expect(shown.page.get_by_label("API key")).to_be_focused()
    expect(shown.page.locator("#results")).to_be_hidden()
    assert shown.page.evaluate("sessionStorage.length") == 0


def test_a_key_for_something_else_is_told_so(shown: Shown) -> None:
    shown.open(c=COLLECTION)
    _enter(shown, NO_SEARCH)
    expect(shown.page.locator("#notice")).to_contain_text("scope 'search'")
    expect(shown.page.get_by_role("button", name="Forget key")).to_be_visible()


def test_without_the_reranker_recall_order_is_shown_and_said_to_be_that(shown: Shown) -> None:
    shown.open(c=COLLECTION, q=QUESTION)
    _enter(shown, KEY)
    expect(shown.page.locator("#notice")).to_have_text("The reranker is not available: this is recall order.")
    expect(shown.page.locator("#notice")).to_have_class("degraded")
    expect(shown.page.locator(".recalled button.row")).to_have_count(len(DOCUMENTS))
    expect(shown.page.locator(".reranked")).to_be_hidden()
    expect(shown.page.locator("#status")).to_contain_text("not available")
    shown.page.keyboard.press("/")
    shown.page.keyboard.press("End")
    shown.page.keyboard.press("ArrowDown")
    expect(shown.page.locator(".recalled button.row").first).to_be_focused()
    shown.page.locator("#floor").fill("0.9")
    assert shown.page.locator("li.sunk").count() == 0  # nothing was scored, so nothing is below
