"""The one movement of the page: passages slide from recall order to the reranker's."""

from typing import Any

import pytest

from tests.page.conftest import Shown


@pytest.fixture
def context_options() -> dict[str, Any]:
    return {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "no-preference"}


def test_passages_arrive_where_they_belong(shown: Shown) -> None:
    shown.page.add_init_script("""
        window.moved = 0;
        new MutationObserver((changes) => {
            window.moved += changes.filter((change) => change.target.style.transform).length;
        }).observe(document, { subtree: true, attributeFilter: ["style"] });
    """)
    shown.ask()
    shown.until("window.moved > 0")
    still = "[...document.querySelectorAll('button.row')].every((row) => row.style.transform === '')"
    shown.until(still)
    off = shown.page.evaluate("""() => Math.max(...[...document.querySelectorAll("#lines path")].map((path) => {
        const rows = [...document.querySelectorAll(".reranked button.row")];
        const row = rows.find((row) => row.dataset.id === path.dataset.id);
        const box = row.getBoundingClientRect();
        const top = document.getElementById("lines").getBoundingClientRect().top;
        return Math.abs(path.getPointAtLength(path.getTotalLength()).y - (box.top + box.height / 2 - top));
    }))""")
    assert off < 1.5
