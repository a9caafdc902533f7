"""Carries out a Dockerfile without a container engine: its own RUN and COPY lines in folders that stand for the stages.

A stage's root borrows /usr, /lib and /etc of this machine, read-only, in mount namespaces that end with their process.
What it cannot show is the base image itself: the Python is this one, the tritonserver that of the wheel.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pip

from tests.deploy.programs import ROOT

BORROWED = ("usr", "lib", "lib64", "bin", "sbin", "etc", "opt/pypi", "opt/pypi-more", "opt/wheels")
PYTHON = sys.base_prefix
PATH = f"{PYTHON}/bin:/usr/bin:/bin"
UNPRIVILEGED = ("--no-new-privs", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")


def possible() -> bool:
    """Whether this user may make mount namespaces."""
    return (
        subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode
        == 0
    )


@dataclass
class Image:
    """What a Dockerfile comes to: a root folder and how to run it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    workdir: str = "/"
    entrypoint: list[str] = field(default_factory=list)


def build(dockerfile: Path, folder: Path, base: Mapping[str, Path]) -> Image:
    """The last stage. `base` puts files and folders of this machine where the base image has its own."""
    stages: dict[str, Image] = {}
    image = Image(folder)
    for instruction, rest in _instructions(dockerfile.read_text()):
        if instruction == "FROM":
            name = rest.partition(" AS ")[2] or "last"
            image = stages[name] = Image(folder / name)
            _lay_out(image.root, base)
        elif instruction == "COPY":
            _copy(rest, image, stages)
        elif instruction == "RUN":
            arguments = [f"{key}={value}" for key, value in image.arguments.items()]
            command = (
                "chroot",
                str(image.root),
                "/usr/bin/env",
                "PYTHONPATH=/opt/pip",
                *arguments,
                "/bin/sh",
                "-ec",
                rest,
            )
            _check(_in_root(image.root, base, f"exec {shlex.join(command)}"))
        elif instruction == "ENV":
            image.environment |= dict(each.split("=", 1) for each in shlex.split(rest))
        elif instruction == "WORKDIR":
            image.workdir = rest
            (image.root / rest.lstrip("/")).mkdir(parents=True)
        elif instruction == "USER":
            image.user = rest
        elif instruction == "ENTRYPOINT":
            image.entrypoint = json.loads(rest)
        elif instruction == "ARG":
            name, _, default = rest.partition("=")
            image.arguments[name] = default
        else:
            assert instruction == "EXPOSE", instruction
    return image


def start(
    image: Image,
    base: Mapping[str, Path],
    volumes: Mapping[str, Path],
    scratch: tuple[str, ...],
    variables: Mapping[str, str],
) -> subprocess.Popen[bytes]:
    """Runs the image as the manifests have it: read-only root and volumes, memory at `scratch`, no privileges."""
    user, group = image.user.split(":")
    lines = [f"mount -t tmpfs -o mode=0700,uid={user},gid={group} none {image.root}{each}" for each in scratch]
    lines += [
        f"mount --bind {here} {image.root}{there}; {_read_only(image.root, there)}" for there, here in volumes.items()
    ]
    command = ["chroot", str(image.root), "/usr/bin/setpriv", f"--reuid={user}", f"--regid={group}", *UNPRIVILEGED]
    command += ["/usr/bin/env", "-i", f"--chdir={image.workdir}", f"PATH={PATH}"]
    command += [f"{key}={value}" for key, value in (image.environment | dict(variables)).items()]
    lines += [_read_only(image.root, "/"), "exec " + shlex.join([*command, *image.entrypoint])]
    for each in (*volumes, *scratch):
        (image.root / each.lstrip("/")).mkdir(parents=True, exist_ok=True)
    with (image.root.parent / "log").open("wb") as log:
        return subprocess.Popen(_in_root(image.root, base, "\n".join(lines)), stdout=log, stderr=log)


def _instructions(text: str) -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(first, rest.strip()) for first, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def _lay_out(root: Path, base: Mapping[str, Path]) -> None:
    for each in (*BORROWED, PYTHON.lstrip("/"), "opt/pip/pip", "proc", "dev", "tmp"):
        (root / each).mkdir(parents=True, exist_ok=True)
    for there, here in base.items():
        target = root / there.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.mkdir() if here.is_dir() else target.touch()


def _copy(rest: str, image: Image, stages: Mapping[str, Image]) -> None:
    words = rest.split()
    source_root = ROOT
    if words[0].startswith("--from="):
        source_root = stages[words.pop(0).removeprefix("--from=")].root
    source, target = source_root / words[0].lstrip("/"), image.root / os.path.join(image.workdir, words[1]).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source_root != ROOT:
        source.rename(target)  # nobody comes back to an earlier stage
    elif source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def _in_root(root: Path, base: Mapping[str, Path], script: str) -> list[str]:
    """A command that runs `script` where the machine's folders are mounted under `root`."""
    borrowed = {f"/{each}": Path("/", each) for each in BORROWED} | dict(base)
    borrowed |= {PYTHON: Path(PYTHON), "/opt/pip/pip": Path(pip.__file__).parent}
    lines = ["set -e", f"mount --bind {root} {root}"]
    for there, here in borrowed.items():
        if here.exists():
            lines += [f"mount --bind {here.resolve()} {root}{there}", _read_only(root, there)]
    lines += [f"mount --rbind /{each} {root}/{each}" for each in ("proc", "dev")]
    return ["env", f"PATH={PATH}:/usr/sbin:/sbin", "unshare", "--mount", "/bin/sh", "-c", "\n".join([*lines, script])]


def _read_only(root: Path, there: str) -> str:
    return f"mount -o remount,bind,ro {root}{there}"


def _check(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
