"""Writes docs/evaluation.md from the reports of `siftline eval` and `siftline calibrate`; see tools/evaluation.py.

    python -m tools.evaluation_page build/evaluation/* --notes tools/evaluation_notes.md

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

Made by `make evaluation` (tools/evaluation.py) from reports of `siftline eval` and `siftline calibrate`;
[measuring.md](measuring.md) says how the numbers come about. MRR@10 with 95 % intervals; gains are paired by query."""
COMMAND = "command"  # file in a report's folder: what made it


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--notes", type=Path, required=True, help="Markdown to put behind the tables")
    options = parser.parse_args(arguments)
    write(options.reports, options.docs, options.notes)


def write(folders: Sequence[Path], docs: Path, notes: Path) -> None:
    """The page in `docs`. Reports by the logit alone have a line in the first table and no part of their own."""
    reports = {folder.name: _json(folder / "report.json") for folder in folders if _has(folder, "report")}
    (docs / "figures").mkdir(parents=True, exist_ok=True)
    parts = [HEAD, _models(reports.values()), summary(reports), _first_stages(reports), notes.read_text().strip()]
    parts += [_section(folder, docs) for folder in folders if _is_served(reports.get(folder.name))]
    (docs / "evaluation.md").write_text("\n\n".join(parts) + "\n")


def _is_served(report: dict[str, Any] | None) -> bool:
    """Whether it is of the order that `siftline serve` gives, or no report of an order at all."""
    return report is None or report["plan"]["recall_weight"] is None


def _models(reports: Iterable[dict[str, Any]]) -> str:
    """A line for each model that any report was made with."""
    lines = {
        f"- {stage}: {model['name']}, {model['engine']} {model['precision']}, fingerprint {model['fingerprint']}"
        for report in reports
        for stage, model in report["models"].items()
    }
    return "\n".join(sorted(lines))


def summary(reports: dict[str, dict[str, Any]]) -> str:
    """A table: recall alone and reranked on the whole corpus, for each report by name."""
    head = ["set", "weight", "queries", "passages", "first stage", "alone", "reranked", "gain of the second stage"]
    return table(head, (line for name, report in reports.items() for line in _summed(name, report)))


def _summed(name: str, report: dict[str, Any]) -> Iterable[list[str]]:
    """One line for each first stage that was measured with the second one too, on the whole corpus."""
    for recall in report["plan"]["recalls"]:
        alone, reranked = _row(report, recall, 0), _row(report, recall, max(report["plan"]["depths"]))
        counts = [f"{report['recall_weight']:g}", f"{report['queries']:,}", f"{report['passages']:,}"]
        means = [_interval(row["measures"]["MRR@10"]) for row in (alone, reranked)]
        yield [name, *counts, recall, *means, _gain(reranked["second_stage"]["MRR@10"])]


def _first_stages(reports: dict[str, dict[str, Any]]) -> str:
    """A table: what words, or words too, do instead of vectors, both with the second stage."""
    lines = [
        [name, recall, _gain(row["first_stage"]["MRR@10"])]
        for name, report in reports.items()
        for recall in report["plan"]["recalls"][1:]
        for row in [_row(report, recall, max(report["plan"]["depths"]))]
    ]
    what = "What another first stage than vectors gains, MRR@10, both reranked to the same depth, paired by query:"
    return f"{what}\n\n{table(['set', 'first stage', 'gain over vector + rerank'], lines)}"


def _row(report: dict[str, Any], recall: str, depth: int) -> dict[str, Any]:
    """On the whole corpus."""
    method = {"recall": recall, "depth": depth}
    found: dict[str, Any] = next(
        row for row in report["rows"] if row["passages"] == report["passages"] and row["method"] == method
    )
    return found


def _gain(interval: dict[str, float]) -> str:
    return f"{interval['mean']:+.3f} [{interval['low']:+.3f}, {interval['high']:+.3f}]"


def _interval(measured: dict[str, Any]) -> str:
    return f"{measured['mean']:.3f} [{measured['low']:.3f}, {measured['high']:.3f}]"


def _section(folder: Path, docs: Path) -> str:
    """The report's page one level down, with its name, what made it, and its plots."""
    kind = "report" if _has(folder, "report") else "calibration"
    title, rest = (folder / f"{kind}.md").read_text().strip().split("\n", 1)
    text = f"## {folder.name}: {title.removeprefix('# ')}\n\n```\n{(folder / COMMAND).read_text()}```\n{rest}"
    for picture in sorted(folder.glob("*.png")):
        name = f"{folder.name}-{picture.name}"
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
