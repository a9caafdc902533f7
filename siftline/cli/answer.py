"""The answer of a search, as a table for people."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from siftline.results import Hit, SearchResult

SNIPPET_CHARACTERS = 160
# Of a file or a pipe, which have none of their own.
PAGE_WIDTH = 120


def show(query: str, result: SearchResult) -> None:
    """Rank, recall rank, both scores, title and snippet of every hit; the time of each stage below."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PAGE_WIDTH)
    table = Table(title=f"“{escape(query)}”", box=box.SIMPLE_HEAD, title_justify="left", expand=True)
    for heading in ("rank", "recall\nrank", "rerank\nscore", "recall\nscore"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("title", ratio=2, overflow="fold")
    table.add_column("snippet", ratio=3)
    for rank, hit in enumerate(result.hits, start=1):
        table.add_row(str(rank), *_cells(hit))
    console.print(table)
    console.print(_times(result), highlight=False)
    for reason in result.degraded:
        console.print(f"degraded: {reason}", style="yellow")


def _cells(hit: Hit) -> tuple[str, ...]:
    score = "" if hit.rerank_score is None else f"{hit.rerank_score:.4f}"
    return (str(hit.recall_rank), score, f"{hit.recall_score:.4f}", escape(hit.title or hit.id), escape(_snippet(hit)))


def _snippet(hit: Hit) -> str:
    text = " ".join(hit.text.split())
    return text if len(text) <= SNIPPET_CHARACTERS else text[: SNIPPET_CHARACTERS - 1] + "…"


def _times(result: SearchResult) -> str:
    timings = result.timings
    embed = "cached" if timings.embedding_cached else f"{timings.embed_us / 1000:.1f} ms"
    return (
        f"embed {embed} · recall {timings.recall_us / 1000:.1f} ms ({result.recalled} passages) · "
        f"rerank {timings.rerank_us / 1000:.1f} ms · total {timings.total_us / 1000:.1f} ms"
    )
