"""Pins what is installed: requirements/NAME.in, and all that it needs, become requirements/NAME.txt.

What goes into images is locked with the hashes of its wheels (x86-64; Python 3.12 is that of the images,
3.11 that of tests which carry out their steps). pip tells them, so making these locks needs the package index.

The lock files are installed with --no-deps, so no resolver runs on a user's machine and nothing comes in unseen.
Run it (`make lock`) in an environment that passes the tests. runtime.txt comes first; dev.txt holds what is added.
"""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).parent
HEAD = "# Made by `make lock` from {name}.in. Install with --no-deps.\n"


# What goes into an image is locked whole; of torch there must be nothing in it.
IMAGES = ("gateway", "model-service")
# For a GPU: the same, but for these, in whose place comes what is pinned by hand, because it is not installed here.
GPU, NOT_ON_GPU = "model-service-gpu", ("onnxruntime", "onnxruntime-ep-openvino")
IMAGE_PYTHONS = ("3.11", "3.12")
PLATFORMS = tuple(f"manylinux_2_{minor}_x86_64" for minor in range(17, 36)) + ("manylinux2014_x86_64",)


def main() -> None:
    for name in IMAGES:
        pins = _closure(_read(FOLDER / f"{name}.in")[1], set())
        _write_image(name, [f"{package}=={version}" for package, version in pins.items()])
    fixed = map(str, _read(FOLDER / f"{GPU}.in")[0])
    _write_image(GPU, [*(f"{name}=={pin}" for name, pin in pins.items() if name not in NOT_ON_GPU), *fixed])
    known: set[str] = set()
    for name in ("runtime", "dev"):
        fixed, roots = _read(FOLDER / f"{name}.in")
        known |= {canonicalize_name(requirement.name) for requirement in fixed}
        pins = _closure(roots + _needs_of_torch(fixed), known)
        known |= pins.keys()
        _write(name, fixed, pins)


def _write(name: str, fixed: list[Requirement], pins: dict[str, str]) -> None:
    _write_lines(name, [*map(str, fixed), *(f"{package}=={version}" for package, version in pins.items())])


def _write_image(name: str, lines: list[str]) -> None:
    hashes = _hashes(lines)
    _write_lines(name, [" ".join([line, *(f"--hash=sha256:{each}" for each in hashes[line])]) for line in lines])


def _write_lines(name: str, lines: list[str]) -> None:
    (FOLDER / f"{name}.txt").write_text(HEAD.format(name=name) + "\n".join(sorted(lines)) + "\n")


def _hashes(lines: list[str]) -> dict[str, list[str]]:
    """SHA-256 of the wheel that pip would install for each line, one for each Python where they differ."""
    found: dict[str, set[str]] = {line: set() for line in lines}
    for version in IMAGE_PYTHONS:
        with TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            platforms = [part for each in PLATFORMS for part in ("--platform", each)]
            command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--dry-run"]
            command += ["--ignore-installed", "--no-deps", "--only-binary", ":all:", "--python-version", version]
            command += [*platforms, "--target", folder, "--report", str(report), *lines]
            subprocess.run(command, check=True)
            for each in json.loads(report.read_text())["install"]:
                line = f"{canonicalize_name(each['metadata']['name'])}=={each['metadata']['version']}"
                found[line].add(each["download_info"]["archive_info"]["hashes"]["sha256"])
    return {line: sorted(hashes) for line, hashes in found.items()}


def _read(file: Path) -> tuple[list[Requirement], list[str]]:
    """Requirements with a version, and names without."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    requirements = [Requirement(line) for line in lines]
    return [each for each in requirements if each.specifier], [each.name for each in requirements if not each.specifier]


def _needs_of_torch(fixed: list[Requirement]) -> list[str]:
    return [need for each in fixed if each.name == "torch" for need in _needs("torch")]


def _closure(roots: list[str], known: set[str]) -> dict[str, str]:
    """Installed versions of the roots and of what they need, without what is known already."""
    pins: dict[str, str] = {}
    waiting = [canonicalize_name(root) for root in roots]
    while waiting:
        name = waiting.pop()
        if name not in pins and name not in known:
            pins[name] = distribution(name).version
            waiting.extend(_needs(name))
    return pins


def _needs(name: str) -> list[str]:
    """What a package needs here; what is not installed although asked for was left out on purpose."""
    requirements = map(Requirement, distribution(name).requires or ())
    needed = [each.name for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    return [canonicalize_name(each) for each in needed if _is_installed(each)]


def _is_installed(name: str) -> bool:
    try:
        return bool(distribution(name).version)
    except PackageNotFoundError:
        return False


if __name__ == "__main__":
    main()
