"""`python -m tools.picture_search_page URL FILE QUESTION`: a picture of the search page, as the README shows it."""

import shutil
import sys
from urllib.parse import urlencode

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT, SCALE = 1180, 800, 2


def main(url: str, file: str, question: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE, reduced_motion="reduce"
        )
        page.goto(f"{url}/#{urlencode({'q': question, 'depth': 20})}")
        page.locator("#results[aria-busy=false]:not(.pending)").wait_for()
        page.screenshot(path=file)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
