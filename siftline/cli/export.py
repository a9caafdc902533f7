"""Export a model for the services: a folder, a catalogue entry or a hub identifier (see `siftline export -h`)."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source")
    parser.add_argument("--as", dest="family", metavar="FAMILY", help="conventions to follow, see models/families")
    parser.add_argument("--name", help="name of the exported model (default: the entry's or the folder's)")
    parser.add_argument("--out", default="build/models", help="where exported models lie (default %(default)s)")


def run(options: argparse.Namespace) -> int:
    from export.__main__ import main

    optional = {"--as": options.family, "--name": options.name, "--out": options.out}
    flags = [part for flag, value in optional.items() if value for part in (flag, value)]
    return main([options.source, *flags])
