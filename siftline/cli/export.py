"""Export a model for the services: a folder, a catalogue entry or a hub identifier (see `siftline export -h`)."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source")
    parser.add_argument("--as", dest="family", metavar="FAMILY", help="conventions to follow, see models/families")
    parser.add_argument("--name", help="name of the exported model (default: the entry's or the folder's)")
    parser.add_argument("--layout", choices=("padded", "packed"), help="packed: no padding, for CUDA; as NAME-packed")
    parser.add_argument(
        "--precision",
        choices=("auto", "bf16", "fp16", "fp32"),
        help="to compute in; one that is not exact enough is refused (default auto: the fastest that is)",
    )
    parser.add_argument("--accept", action="store_true", help="take --precision even if it is not exact enough")
    parser.add_argument(
        "--engine",
        choices=("auto", "onnxruntime", "amx", "tensorrt"),
        help="amx: for CPUs that have it (auto takes it there); tensorrt: for a GPU, as NAME-tensorrt",
    )
    parser.add_argument("--backend", choices=("python", "onnxruntime", "tensorrt"), help="of the Triton that runs it")
    parser.add_argument("--out", default="build/models", help="where exported models lie (default %(default)s)")


def run(options: argparse.Namespace) -> int:
    from export.__main__ import main

    optional = {
        "--as": options.family,
        "--name": options.name,
        "--layout": options.layout,
        "--precision": options.precision,
        "--engine": options.engine,
        "--backend": options.backend,
        "--out": options.out,
    }
    flags = [part for flag, value in optional.items() if value for part in (flag, value)]
    return main([options.source, *flags, *(["--accept"] if options.accept else [])])
