"""Turns a training checkpoint into the model folder that ships, and writes its card.

python -m tools.publish_reranker --data ../shared/data --work build/reranker
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.reranker_training.artefact import counted_pieces, folder_bytes, write_artefact, write_student
from tools.reranker_training.card import write_card
from tools.reranker_training.embedder import minilm_folder, read_tokenizer

VOCABULARY_SIZE = 21_000
MAX_LENGTH = 256
SIZE_LIMIT = 20_000_000
CURVE_STRIDE = 10
CHECKPOINT_EVERY = 50
SERVED_FACTS = ("dataset", "split", "queries", "passages", "plan", "recall_weight", "models")


def thinned(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    """The curve in means of ten steps (loss, share ranked first), each under its last step."""
    groups = [curve[start : start + CURVE_STRIDE] for start in range(0, len(curve), CURVE_STRIDE)]
    means = [{key: sum(point[key] for point in group) / len(group) for key in ("loss", "first")} for group in groups]
    return [
        {**group[-1], **{key: round(value, 4) for key, value in mean.items()}}
        for group, mean in zip(groups, means, strict=True)
    ]


def write_log(work: Path, folder: Path, earlier: Path | None) -> None:
    """Copies the training log with its curve thinned, and that of the leg that the run was resumed from."""
    log = _thinned_log(work)
    if earlier is not None:
        log["earlier"] = _thinned_log(earlier)
    (folder / "training_log.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")


def _thinned_log(work: Path) -> dict[str, Any]:
    """The log of a work folder; its curve ends with the last checkpoint, also while training still runs."""
    log: dict[str, Any] = json.loads((work / "training_log.json").read_text(encoding="utf-8"))
    points = [json.loads(line) for line in (work / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    if "curve" not in log:
        points = points[: len(points) // CHECKPOINT_EVERY * CHECKPOINT_EVERY]
    log["curve"] = thinned(points)
    return log


def _write_served(folders: Sequence[Path], file: Path) -> None:
    """What the card's table needs of the reports: MRR@10 on the whole corpus."""
    reports = {folder.name: json.loads((folder / "report.json").read_text(encoding="utf-8")) for folder in folders}
    for name, report in reports.items():
        whole = [row for row in report["rows"] if row["passages"] == report["passages"]]
        facts = {key: report[key] for key in SERVED_FACTS}
        reports[name] = {**facts, "rows": [_main_measure(row) for row in whole]}
    file.write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")


def _main_measure(row: dict[str, Any]) -> dict[str, Any]:
    kinds = {
        kind: row[kind] and {"MRR@10": row[kind]["MRR@10"]} for kind in ("measures", "first_stage", "second_stage")
    }
    return {"method": row["method"], "passages": row["passages"], **kinds}


def _write_weights(options: argparse.Namespace) -> None:
    checkpoint = options.work / "checkpoint.safetensors"
    if options.teacher is not None:
        write_student(checkpoint, options.teacher, options.model)
        return
    tokenizer = read_tokenizer(minilm_folder() / "tokenizer.json")
    counts = counted_pieces(options.data, tokenizer, options.work / "pieces.json")
    write_artefact(checkpoint, options.model, counts, VOCABULARY_SIZE, MAX_LENGTH)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the judged sets")
    parser.add_argument("--work", type=Path, default=Path("build/reranker"), help="folder that training wrote")
    parser.add_argument("--model", type=Path, default=Path("weights/siftline-minilm-l6-reranker"))
    parser.add_argument("--earlier", type=Path, help="folder of the leg whose checkpoint the run was resumed from")
    parser.add_argument("--teacher", type=Path, help="model folder that the student was cut out of")
    parser.add_argument("--note", default="", help="a paragraph for the top of the card")
    parser.add_argument(
        "--reports", type=Path, nargs="+", metavar="FOLDER", help="reports of `siftline eval` for the card's table"
    )
    parser.add_argument("--card-only", action="store_true", help="only write the card anew")
    return parser.parse_args(arguments)


def main() -> None:
    """Writes weights, tokenizer, configuration and log, then the card; fails if the folder is over 20 MB."""
    options = parse()
    if not options.card_only:
        _write_weights(options)
        (options.model / "evaluation.json").unlink(missing_ok=True)  # it belongs to the weights that were there before
        write_log(options.work, options.model, options.earlier)
    if options.reports:
        _write_served(options.reports, options.model / "served.json")
    write_card(options.model, options.note)
    size = folder_bytes(options.model)
    if size > SIZE_LIMIT:
        raise SystemExit(f"{options.model}: {size} bytes, over the limit of {SIZE_LIMIT}")


if __name__ == "__main__":
    main()
