"""Plots: quality against corpus size, and against latency as depth grows. One line per method."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from siftline.evaluation.markdown import main_measure
from siftline.evaluation.report import Report, Row
from siftline.results import Recall

COLOURS: dict[Recall, str] = {"vector": "#1f6feb", "bm25": "#8a6d3b", "hybrid": "#0a8f5b"}
_STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "font.size": 9,
    "legend.frameon": False,
    "svg.hashsalt": "siftline",  # the same plot gives the same file
    "svg.fonttype": "none",
}


def draw(report: Report, folder: Path) -> list[str]:
    """Names of the PNG files written; each has an SVG beside it. Only plots that the report has the numbers for."""
    drawn = []
    if len({row.passages for row in report.rows}) > 1:
        drawn.append(save(folder, "quality-by-size", lambda axes: _by_size(axes, report)))
    if any(row.latency for row in report.rows) and report.plan.depths:
        drawn.append(save(folder, "quality-by-latency", lambda axes: _by_latency(axes, report)))
    return drawn


def _by_size(axes: Any, report: Report) -> None:
    main, deepest = main_measure(report.rows[0]), max(report.plan.depths, default=0)
    for method in report.plan.methods:
        if method.depth not in (0, deepest):
            continue
        rows = [row for row in report.rows if row.method == method]
        sizes, measured = [row.passages for row in rows], [row.measures[main] for row in rows]
        colour, line = COLOURS[method.recall], "-" if method.depth else "--"
        axes.plot(sizes, [each.mean for each in measured], line, color=colour, marker="o", ms=3.5, label=method.name)
        axes.fill_between(
            sizes, [each.low for each in measured], [each.high for each in measured], color=colour, alpha=0.08, lw=0
        )
    axes.set(xscale="log", xlabel="passages", ylabel=main, title=_title(report))
    ticks = sorted({row.passages for row in report.rows})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()


def _by_latency(axes: Any, report: Report) -> None:
    main = main_measure(report.rows[0])
    for recall in report.plan.recalls:
        points = [_point(row, main) for row in report.rows if row.method.recall == recall and row.latency]
        axes.plot(*zip(*((x, y) for x, y, _ in points), strict=True), "o-", color=COLOURS[recall], ms=4, label=recall)
        for x, y, depth in points:
            axes.annotate(str(depth or "recall"), (x, y), (3, 4), textcoords="offset points", fontsize=7)
    axes.set(xlabel="milliseconds, median of one search", ylabel=main, title=f"{_title(report)}: rerank depth")


def _point(row: Row, main: str) -> tuple[float, float, int]:
    assert row.latency is not None
    return row.latency.p50_ms, row.measures[main].mean, row.method.depth


def _title(report: Report) -> str:
    return f"{report.dataset} ({report.queries:,} queries)"


def save(folder: Path, name: str, fill: Callable[[Any], None]) -> str:
    """Draws NAME.png and NAME.svg by `fill`, which is given the axes; returns the PNG's name."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        fill(axes)
        axes.legend(fontsize=8)
        figure.savefig(folder / f"{name}.png", dpi=110)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return f"{name}.png"
