"""Whether an exported model is still what an export would make today. Imports no torch: every start asks."""

import hashlib
from pathlib import Path

from export.amx import library
from export.catalogue import FAMILIES, CatalogueEntry
from export.engine import RUNNER
from export.source import Source
from serving.served_model import load


def built_from(source: Source, entry: CatalogueEntry | None, family: str | None) -> str:
    """sha256 over all that an export depends on: source, catalogue entry, the exporter itself, what this CPU lacks."""
    digest = hashlib.sha256(f"{source.digest()}\n{entry and entry.model_dump_json()}\n{family}\n".encode())
    here = Path(__file__).parent
    code = [*here.glob("*.py"), *here.glob("amx/*.[chp]*"), *FAMILIES.glob("*.yaml"), *RUNNER.glob("*.py")]
    digest.update(library.refusal().encode())
    for path in sorted(code):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current(folder: Path, digest: str) -> bool:
    """Whether `folder` holds a whole export made from what `digest` (see built_from) stands for."""
    try:
        return load(folder).built_from == digest
    except (OSError, ValueError):
        return False
