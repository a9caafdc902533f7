"""Text is data, wherever it comes from; and the page lets nothing run that is not its own."""

import re
import urllib.error
import urllib.request
from email.message import Message

import pytest
from playwright.sync_api import expect

from gateway.page.site import FILES
from tests.page.conftest import COLLECTION, HOSTILE, QUESTION, Shown

NAME = HOSTILE.replace("\0", "")


def _get(url: str, headers: dict[str, str] | None = None) -> tuple[int, Message, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {})) as reply:
            return reply.status, reply.headers, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def test_hostile_documents_are_shown_as_they_are(shown: Shown) -> None:
    shown.ask()
    row = shown.page.locator(".reranked button.row").filter(has_text="<img src=x")
    row.click()
    assert row.locator(".title").text_content() == NAME
    opened = shown.page.locator(".reranked .passage").filter(visible=True)
    assert opened.locator(".text").text_content() == f"A swimming bird {NAME}"
    metadata = opened.locator(".metadata").text_content() or ""
    assert "<b>name</b>" in metadata
    assert "<i>value</i>" in metadata
    opened.get_by_role("button", name="kind").click()
    expect(shown.page.locator(".reranked button.row")).to_have_count(1)
    assert shown.page.locator("#results").locator("img, script, b:not(#timings b), i").count() == 0
    assert shown.page.evaluate("window.pwned") is None
    assert shown.complaints == []


def test_a_hostile_address_asks_and_does_nothing_else(shown: Shown) -> None:
    shown.open(
        q=f"{QUESTION} {NAME}", c=f"{COLLECTION}{NAME}", recall='"],script', depth="-1e9", floor=NAME, filter=NAME
    )
    shown.page.locator("#filter-problem:not([hidden])").wait_for()
    assert shown.page.evaluate("window.pwned") is None
    assert shown.page.locator("main img, main script").count() == 0
    assert not any("dialog" in complaint for complaint in shown.complaints)


def test_script_that_is_not_the_page_s_does_not_run(shown: Shown) -> None:
    shown.ask()
    refused = shown.page.evaluate("""() => {
        try { document.querySelector("main").innerHTML = "<b>bold</b>"; return "" }
        catch (error) { return error.name }
    }""")
    assert refused == "TypeError"  # trusted types: no markup out of strings
    shown.page.evaluate("""() => {
        const script = document.createElement("script");
        try { script.textContent = "window.pwned = true" } catch { }
        document.body.append(script);
        const button = document.createElement("button");
        try { button.setAttribute("onclick", "window.pwned = true") } catch { }
        document.body.append(button);
        button.click();
    }""")
    assert shown.page.evaluate("window.pwned") is None


def test_policy_and_headers(base: str) -> None:
    status, headers, page = _get(f"{base}/")
    assert status == 200
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", page)
    assert _get(f"{base}/", {"if-none-match": headers["etag"]})[0] == 304


@pytest.mark.parametrize(
    "path", ["/page/", "/page/nothing.js", "/page/..%2fsite.py", "/page/%2e%2e/site.py", "/page/../site.py"]
)
def test_nothing_but_the_page_s_files(base: str, path: str) -> None:
    assert _get(base + path)[0] == 404


def test_no_file_makes_markup_out_of_strings() -> None:
    scripts = "".join(file.read_text() for file in FILES.glob("*.js"))
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser", scripts
    )
    assert sum(file.stat().st_size for file in FILES.iterdir()) < 150_000
