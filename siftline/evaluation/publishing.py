"""A report as files: report.json, report.md, and plots as PNG and SVG."""

import json
from dataclasses import asdict
from pathlib import Path

from siftline.evaluation import figures, markdown
from siftline.evaluation.report import Report


def write(report: Report, folder: Path) -> None:
    """Writes all of them into `folder`, which is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = figures.draw(report, folder)
    (folder / "report.json").write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n")
    (folder / "report.md").write_text(markdown.page(report, drawn))
