"""A calibration's report as files: calibration.json, calibration.md and the reliability diagram."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from siftline.evaluation import figures
from siftline.evaluation.calibrate import Report
from siftline.evaluation.markdown import table
from siftline.evaluation.thresholds import Operating

FLOORS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


def write(report: Report, folder: Path) -> None:
    """Writes all of them into `folder`, which is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = figures.save(folder, "reliability", lambda axes: _reliability(axes, report))
    (folder / "calibration.json").write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n")
    (folder / "calibration.md").write_text(page(report, picture))


def page(report: Report, picture: str) -> str:
    """Markdown; `picture` is the name of the diagram beside the page."""
    asked, weight, losses = report.asked, report.weight, report.log_loss
    floors = [each for each in report.operating if each.floor in FLOORS]
    parts = [
        f"# Calibration of {report.reranker} on {report.dataset}, split {report.split}",
        f"{report.queries:,} queries, the answers of {report.unanswerable:,} of them hidden; {report.passages:,} "
        f"passages, {asked.recall} recall, depth {asked.depth}; seed {asked.seed}. Every number is of queries that "
        "the map was not fitted to (5 folds).",
        *([f"{report.unread:,} queries that the reranker cannot read are left out."] if report.unread else []),
        f"Map: {report.kind} (log loss: Platt {losses['platt']:.4f}, isotonic {losses['isotonic']:.4f}); expected "
        f"calibration error {report.calibration_error:.4f}.",
        f"Weight of recall: {weight.value:g} (MRR@10 {weight.by_weight[weight.value]:.3f}, with the reranker alone "
        f"{weight.by_weight[0.0]:.3f}; gain when chosen on other queries {weight.gain:+.3f}).",
        f"For a precision of {asked.precision:g}: {_floor(report.for_precision)}",
        f"To reject {asked.rejection:g} of the queries without an answer: {_floor(report.for_rejection)}",
        table(
            ["min_probability", "answerable queries answered", "precision of the first", "unanswerable rejected"],
            ([f"{each.floor:g}", *map(_share, (each.answered, each.precision, each.rejected))] for each in floors),
        ),
        f"![reliability]({picture})",
    ]
    return "\n\n".join(parts) + "\n"


def _floor(point: Operating | None) -> str:
    if point is None:
        return "no floor reaches it."
    return (
        f"min_probability {point.floor:g} (precision {_share(point.precision)}, {_share(point.answered)} of the "
        f"answerable queries answered, {_share(point.rejected)} of the others rejected)."
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _reliability(axes: Any, report: Report) -> None:
    bins = report.reliability
    axes.plot([0, 1], [0, 1], "--", color="grey", lw=1, label="as predicted")
    errors = [[each.observed - each.low for each in bins], [each.high - each.observed for each in bins]]
    shown = {"fmt": "o", "ms": 4, "elinewidth": 1, "capsize": 2.5, "label": f"{report.kind}, 95 % interval"}
    axes.errorbar([each.predicted for each in bins], [each.observed for each in bins], errors, **shown)
    for each in bins:
        axes.annotate(f"{each.count:,}", (each.predicted, each.observed), (6, -3), textcoords="offset points", size=7)
    axes.set(
        xlabel="predicted probability (beside each point: candidates)",
        ylabel="share that is relevant",
        title=f"{report.dataset}: held out",
    )
