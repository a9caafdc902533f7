"""What the page shows of a search: both orders, what moved, the times; and how it is steered."""

from playwright.sync_api import Route, expect

import siftline
from tests.page.conftest import COLLECTION, DOCUMENTS, QUESTION, Shown
from tests.running.stack import RunningStack, eventually


def test_both_orders_are_those_of_the_search(shown: Shown, shared_stack: RunningStack) -> None:
    shown.ask()
    with siftline.Client(shared_stack.endpoints["gateway"]) as client:
        found = client.search(COLLECTION, QUESTION, top_k=30, recall_depth=30)
    assert shown.order("reranked") == [hit.id for hit in found.hits]
    assert shown.order("recalled") == [hit.id for hit in sorted(found.hits, key=lambda hit: hit.recall_rank)]
    assert len(shown.order("reranked")) == len(DOCUMENTS)
    for rank, hit in enumerate(found.hits[:5], start=1):
        row = shown.page.locator(".reranked button.row").nth(rank - 1)
        expect(row.locator(".rank")).to_have_text(str(rank))
        assert f"rerank score {hit.rerank_score:.3f}" in (row.text_content() or "")
        moved = hit.recall_rank - rank
        way = "up" if moved > 0 else "down"
        told = f"{way} {abs(moved)} from {hit.recall_rank}" if moved else "unmoved"
        assert told in (row.text_content() or "")
    assert shown.complaints == []


def test_a_line_joins_the_two_places_of_every_passage(shown: Shown) -> None:
    shown.ask()
    ends = shown.page.evaluate("""() => {
        const top = document.getElementById("lines").getBoundingClientRect().top;
        const middle = (side, id) => {
            const row = [...document.querySelectorAll(`.${side} button.row`)].find((row) => row.dataset.id === id);
            const box = row.getBoundingClientRect();
            return box.top + box.height / 2 - top;
        };
        return [...document.querySelectorAll("#lines path")].map((path) => {
            const length = path.getTotalLength();
            const id = path.dataset.id;
            return [path.getPointAtLength(0).y - middle("recalled", id),
                    path.getPointAtLength(length).y - middle("reranked", id)];
        });
    }""")
    assert len(ends) == len(DOCUMENTS)
    assert max(abs(off) for pair in ends for off in pair) < 1.5


def test_recall_is_there_before_the_reranker(shown: Shown) -> None:
    held: list[Route] = []
    both = '"rerank":"on"'
    shown.page.route(
        "**/v1/search",
        lambda route: held.append(route) if both in (route.request.post_data or "") else route.continue_(),
    )
    shown.open(c=COLLECTION)
    shown.page.locator("#query").press_sequentially(QUESTION)
    shown.page.locator("#results.pending").wait_for()
    first = shown.order("recalled")
    assert len(first) == len(DOCUMENTS)
    assert shown.order("reranked") == first
    assert shown.page.locator(".reranked .score").count() == 0
    eventually(lambda: bool(held or shown.page.wait_for_timeout(20)), 30)
    for route in held:
        route.continue_()
    shown.settled()
    assert shown.order("recalled") == first
    assert shown.order("reranked") != first


def test_times_add_up_to_the_bar(shown: Shown) -> None:
    shown.ask()
    kinds = shown.page.eval_on_selector_all("#timings .bar span", "parts => parts.map(part => part.className)")
    assert {"recall", "rerank"} <= set(kinds)
    expect(shown.page.locator("#timings li.total")).to_contain_text("ms")
    expect(shown.page.locator("#status")).to_contain_text(f"{len(DOCUMENTS)} passages in")


def test_ways_of_recall(shown: Shown) -> None:
    shown.ask()
    shown.page.locator("label[for=bm25]").click()
    expect(shown.page.locator(".recalled .by")).to_have_text("by BM25")
    shown.settled()
    assert "stone-3" not in shown.order("recalled")
    shown.page.locator("label[for=hybrid]").click()
    expect(shown.page.locator(".recalled .by")).to_contain_text("fused")
    shown.settled()
    ways = shown.row("recalled", "duck").locator(".ways")
    assert "vector rank" in (ways.text_content() or "")
    assert "keyword rank" in (ways.text_content() or "")


def test_two_ways_of_recall_side_by_side(shown: Shown, shared_stack: RunningStack) -> None:
    shown.ask(depth="10")
    shown.page.get_by_label("Compare with").select_option("bm25")
    expect(shown.page.locator(".reranked .by")).to_contain_text("in both")
    shown.settled()
    with siftline.Client(shared_stack.endpoints["gateway"]) as client:
        ways: list[list[str]] = []
        for recall in ("vector", "bm25"):
            found = client.search(COLLECTION, QUESTION, top_k=10, recall_depth=10, recall=recall, rerank=False)
            ways.append([hit.id for hit in found.hits])
    vector, keyword = ways
    assert shown.order("recalled") == vector
    assert shown.order("reranked") == keyword
    common = set(vector) & set(keyword)
    assert shown.page.locator("#lines path").count() == len(common)
    expect(shown.page.locator(".reranked .by")).to_have_text(f"by BM25 · {len(common)} of {len(keyword)} in both")
    assert shown.page.get_by_text("new", exact=True).count() == len(keyword) - len(common)
    assert "against=bm25" in shown.page.url
    shown.page.get_by_label("Compare with").select_option("rerank")
    expect(shown.page.locator(".reranked .by")).to_contain_text("cross-encoder")


def test_depth_is_how_many_are_recalled(shown: Shown) -> None:
    shown.ask(depth="5")
    assert len(shown.order("recalled")) == 5
    shown.page.locator("#depth").press("ArrowRight")
    expect(shown.page.locator(".reranked button.row")).to_have_count(10)
    assert "depth=10" in shown.page.url


def test_floor_greys_what_does_not_reach_it(shown: Shown) -> None:
    shown.ask()
    scores = shown.page.eval_on_selector_all(
        ".reranked button.row .score", "all => all.map(each => each.lastChild.textContent)"
    )
    shown.page.locator("#floor").fill("0.5")
    reaching = sum(not score.startswith("<") and float(score) >= 0.5 for score in scores)
    assert 0 < reaching < len(DOCUMENTS)
    expect(shown.page.locator(".reranked .by")).to_have_text(f"{reaching} of {len(DOCUMENTS)} reach 0.50")
    assert shown.page.locator(".reranked li.sunk").count() == len(DOCUMENTS) - reaching


def test_filter_narrows_and_tells_what_is_wrong(shown: Shown) -> None:
    shown.ask()
    shown.page.locator("#filter").fill("legs > 1")
    shown.page.locator("#filter").press("Enter")
    expect(shown.page.locator(".reranked button.row")).to_have_count(3)
    shown.page.locator("#filter").fill("wings = 2")
    shown.page.locator("#filter").press("Enter")
    expect(shown.page.locator("#filter-problem")).to_contain_text("wings")
    expect(shown.page.locator("#filter")).to_have_attribute("aria-invalid", "true")
    assert len(shown.order("reranked")) == 3
    shown.page.locator("#filter").fill("legs > 100")
    shown.page.locator("#filter").press("Enter")
    expect(shown.page.locator("#notice")).to_have_text("Nothing was found with this filter.")
    expect(shown.page.locator("#filter-problem")).to_be_hidden()


def test_a_value_of_a_passage_becomes_a_filter(shown: Shown) -> None:
    shown.ask()
    shown.row("reranked", "horse").click()
    shown.page.locator(".reranked .passage").filter(visible=True).get_by_role("button", name="kind").click()
    expect(shown.page.locator(".reranked button.row")).to_have_count(1)
    assert shown.page.locator("#filter").input_value() == 'kind = "mam\\"mal\\\\"'
    assert shown.order("reranked") == ["horse"]


def test_a_passage_opens_and_its_lines_follow(shown: Shown) -> None:
    shown.ask()
    shown.row("reranked", "duck").click()
    opened = shown.page.locator(".reranked .passage").filter(visible=True)
    expect(opened.locator(".text")).to_have_text(DOCUMENTS[0].text)
    expect(opened.locator(".numbers")).to_contain_text("logit")
    shown.row("reranked", "duck").click()
    expect(opened).to_have_count(0)


def test_the_address_brings_everything_back(shown: Shown) -> None:
    shown.ask(recall="hybrid", depth="10", floor="0.25", filter="legs >= 0")
    expect(shown.page.locator("#hybrid")).to_be_checked()
    assert shown.page.locator("#filter").input_value() == "legs >= 0"
    before = shown.page.url
    order = shown.order("reranked")
    shown.page.reload()
    shown.settled()
    assert shown.order("reranked") == order
    assert shown.page.url == before
    assert not any("?" in url for url in shown.requests)  # what is asked is in no address that a server sees


def test_a_full_gateway_is_tried_again(shown: Shown) -> None:
    full = [True]  # until the page has said so

    def answer(route: Route) -> None:
        if '"rerank":"on"' in (route.request.post_data or "") and full:
            body = {"error": {"status": 429, "reason": "OVERLOADED", "message": "search: 256 at a time"}}
            return route.fulfill(status=429, headers={"retry-after": "1"}, json=body)
        return route.continue_()

    shown.page.route("**/v1/search", answer)
    shown.open(c=COLLECTION, q=QUESTION)
    expect(shown.page.locator("#notice")).to_have_text("search: 256 at a time Trying again in 1 s.")
    full.clear()
    shown.settled()
    expect(shown.page.locator("#notice")).to_be_hidden()
    assert len(shown.order("reranked")) == len(DOCUMENTS)
