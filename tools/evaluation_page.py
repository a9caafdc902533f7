"""Writes docs/evaluation.md from the reports of `siftline eval` and `siftline calibrate`.

    python -m tools.evaluation_page build/eval/* build/calibration/*

A report's folder is named as its part of the page should be; its plots are copied to docs/figures/.
"""

import argparse
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from siftline.evaluation.markdown import table

HEAD = """# Quality with the default models

Made by `python -m tools.evaluation_page` from reports of `siftline eval` and `siftline calibrate`;
[measuring.md](measuring.md) says how the numbers come about. MRR@10 with 95 % intervals; gains are paired by query."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--notes", type=Path, help="Markdown to put behind the summary")
    options = parser.parse_args(arguments)
    evaluations = {folder.name: _json(folder / "report.json") for folder in options.reports if _has(folder, "report")}
    parts = [HEAD, *_models(evaluations.values()), summary(evaluations)]
    parts += [options.notes.read_text().strip()] if options.notes else []
    parts += [_section(folder, options.docs) for folder in options.reports]
    (options.docs / "evaluation.md").write_text("\n\n".join(parts) + "\n")


def _models(reports: Iterable[dict[str, Any]]) -> list[str]:
    """A line for each model that any report was made with."""
    lines = {
        f"- {stage}: {model['name']}, {model['engine']} {model['precision']}, fingerprint {model['fingerprint']}"
        for report in reports
        for stage, model in report["models"].items()
    }
    return ["\n".join(sorted(lines))]


def summary(reports: dict[str, dict[str, Any]]) -> str:
    """A table: recall alone and reranked on the whole corpus, for each report by name."""
    head = ["set", "queries", "passages", "first stage", "alone", "reranked", "gain of the second stage", "depth"]
    return table(head, (line for name, report in reports.items() for line in _summed(name, report)))


def _summed(name: str, report: dict[str, Any]) -> Iterable[list[str]]:
    """One line for each first stage that was measured with the second one too, on the whole corpus."""
    rows = [row for row in report["rows"] if row["passages"] == report["passages"]]
    deepest = max(report["plan"]["depths"], default=0)
    for recall in report["plan"]["recalls"] if deepest else ():
        alone, reranked = (_measured(rows, recall, depth) for depth in (0, deepest))
        counts = [f"{report['queries']:,}", f"{report['passages']:,}"]
        gain = f"{reranked['mean'] - alone['mean']:+.3f}"
        if alone["gain"] is None:  # the first method: the gain over it has an interval
            gain += f" [{reranked['gain']['low']:+.3f}, {reranked['gain']['high']:+.3f}]"
        yield [name, *counts, recall, _interval(alone), _interval(reranked), gain, str(deepest)]


def _measured(rows: Iterable[dict[str, Any]], recall: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = next(
        row["measures"]["MRR@10"] for row in rows if row["method"] == {"recall": recall, "depth": depth}
    )
    return found


def _interval(measured: dict[str, Any]) -> str:
    return f"{measured['mean']:.3f} [{measured['low']:.3f}, {measured['high']:.3f}]"


def _section(folder: Path, docs: Path) -> str:
    """The report's page one level down, with its plots."""
    kind = "report" if _has(folder, "report") else "calibration"
    text = (folder / f"{kind}.md").read_text().strip().replace("# ", "## ", 1)
    for picture in sorted(folder.glob("*.png")):
        name = f"{folder.name}-{picture.name}"
        (docs / "figures").mkdir(exist_ok=True)
        shutil.copyfile(picture, docs / "figures" / name)
        shutil.copyfile(picture.with_suffix(".svg"), (docs / "figures" / name).with_suffix(".svg"))
        text = text.replace(f"({picture.name})", f"(figures/{name})")
    return text


def _has(folder: Path, kind: str) -> bool:
    return (folder / f"{kind}.json").is_file()


def _json(file: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(file.read_text())
    return loaded


if __name__ == "__main__":
    main()
