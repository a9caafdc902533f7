"""Command line of the exporter.

    python -m export SOURCE [--as FAMILY] [--name NAME] [--out build/models]
    python -m export SOURCE --int8 --gate BEIR_DIR BEIR_DIR
    python -m export SOURCE --precision bf16|fp16|fp32 [--accept]
    python -m export SOURCE --layout packed [--precision fp16|fp32]
    python -m export SOURCE --engine amx|onnxruntime
    python -m export SOURCE --engine tensorrt [--backend onnxruntime|tensorrt]
    python -m export --defaults [--out build/models]

SOURCE is a folder, the name of a catalogue entry (see models/), or an identifier on the Hugging Face hub.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from export import catalogue
from export.catalogue import CatalogueEntry
from export.errors import ExportError
from export.source import Source, locate_hub
from serving.served_model import Engine, EnginePrecision

OUT = Path("build/models")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 2, with one line on stderr, when a model cannot be exported."""
    try:
        options = _parser().parse_args(arguments)
        if options.defaults:
            for entry in catalogue.entries().values():
                if entry.default:
                    _export_stale(entry, options.out)
        else:
            _export_source(options)
    except ExportError as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m export", description="Exports a model for siftline's services.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("source", nargs="?", help="a folder, a catalogue entry or a hub identifier")
    what.add_argument("--defaults", action="store_true", help="the catalogue's default models, where missing or stale")
    parser.add_argument("--as", dest="family", metavar="FAMILY", help=", ".join(catalogue.families()))
    parser.add_argument("--name", help="name of the exported model (default: the entry's or the folder's)")
    parser.add_argument(
        "--layout", choices=("padded", "packed"), default="padded", help="packed: no padding, for CUDA; as NAME-packed"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", *get_args(EnginePrecision)),
        default="auto",
        help="to compute in; one that is not exact enough is refused (default auto: the fastest that is)",
    )
    parser.add_argument("--accept", action="store_true", help="take --precision even if it is not exact enough")
    parser.add_argument(
        "--engine",
        choices=("auto", *get_args(Engine)),
        default="auto",
        help="amx: for CPUs that have it, as auto is on one for models that it is for; onnxruntime: for any processor; "
        "tensorrt: for a GPU, its engines are built now, if it is here; as NAME-tensorrt",
    )
    parser.add_argument(
        "--backend",
        choices=("python", "onnxruntime", "tensorrt"),
        default="python",
        help="of the Triton that runs it",
    )
    parser.add_argument("--int8", action="store_true", help="also write NAME-int8, if it passes the gate")
    parser.add_argument(
        "--gate",
        type=Path,
        nargs="+",
        default=[],
        metavar="BEIR_DIR",
        help="judged sets that decide on int8: two or more",
    )
    parser.add_argument("--out", type=Path, default=OUT, help=f"where exported models lie (default {OUT})")
    return parser


def _export_source(options: argparse.Namespace) -> None:
    from export.exporter import export
    from export.graph_writer import Wish

    entry = catalogue.find(options.source)
    precision = None if options.precision == "auto" else options.precision
    if options.accept and precision is None:
        raise ExportError("--accept: says that a --precision given by name may miss its bounds; there is none")
    # An int8 graph is made from the padded one.
    engine = options.engine if options.engine != "auto" else "onnxruntime" if options.int8 else None
    wish = Wish(options.layout, precision, options.accept, engine, options.backend)
    model = export(_find(options.source, entry), options.out, entry, options.family, options.name, _say, wish)
    if options.int8:
        from export.int8 import export_int8

        export_int8(options.out / model.name, options.gate, _say)
    _say(f"written to {options.out}")


def _export_stale(entry: CatalogueEntry, out: Path) -> None:
    # Here, not above: torch takes seconds to import, and most starts find everything current.
    from export.freshness import built_from, is_current

    source = entry.source.find()
    if is_current(out / entry.name, built_from(source, entry, None)):
        _say(f"{entry.name}: current")
        return
    from export.exporter import export
    from export.graph_writer import FASTEST

    export(source, out, entry, report=_say, wish=FASTEST)


def _find(name: str, entry: CatalogueEntry | None) -> Source:
    if entry is not None:
        return entry.source.find()
    folder = Path(name)
    if folder.is_dir():
        return Source(folder, folder.resolve().name)
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise ExportError(f"{name}: no such folder, and not in the catalogue: {', '.join(catalogue.entries())}")
    return locate_hub(name)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
