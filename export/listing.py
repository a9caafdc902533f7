"""Every model that is known here: what the catalogue lists and what has been exported."""

from dataclasses import dataclass
from pathlib import Path

from export.catalogue import CatalogueEntry, entries
from serving.served_model import ServedModel, load


@dataclass(frozen=True)
class Listed:
    """One model. `dimensions` is 0 for a reranker; `family` is "" where the files tell it."""

    name: str
    task: str
    family: str
    summary: str
    dimensions: int
    max_tokens: int
    licence: str
    exported: bool


def models(exported: Path) -> list[Listed]:
    """By name. `exported` is the folder that exports are written to; it need not exist."""
    here = {folder.parent.name: load(folder.parent) for folder in exported.glob("*/model.json")}
    known = {name: _of_entry(entry, name in here) for name, entry in entries().items()}
    others = {name: _of_export(record) for name, record in here.items() if name not in known}
    return [listed for _, listed in sorted((known | others).items())]


def _of_entry(entry: CatalogueEntry, exported: bool) -> Listed:
    return Listed(
        entry.name,
        entry.task,
        entry.family,
        entry.summary,
        entry.dimensions or 0,
        entry.max_tokens or 0,
        entry.licence,
        exported,
    )


def _of_export(record: ServedModel) -> Listed:
    return Listed(
        record.name,
        record.task,
        record.family,
        f"Exported from {record.source}.",
        record.dimensions,
        record.max_tokens,
        record.licence,
        True,
    )
