"""The default models as they are exported for any CPU: padded, fp32, computed by OpenVINO in bf16 where it is."""

from pathlib import Path

from export import catalogue, freshness
from export.exporter import export

OUT = Path("build/bench/padded")


def padded_folder(name: str) -> Path:
    """The exported model of that name in the catalogue; made where it is missing or stale."""
    entry = catalogue.entries()[name]
    source = entry.source.find()
    if not freshness.is_current(OUT / name, freshness.built_from(source, entry, None)):
        export(source, OUT, entry, report=print)
    return OUT / name
