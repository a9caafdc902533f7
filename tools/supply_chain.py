"""What is in the images: python -m tools.supply_chain licences | sbom | audit [FLAGS of pip-audit]

licences   writes docs/licences.md from the metadata of the installed packages (a test holds it in step)
sbom       writes build/sbom/IMAGE.cdx.json, CycloneDX with the hashes of the locks
audit      asks an advisory database (PyPI's; the flags choose another) about everything that is locked. Exit status 0:
           nothing is known against it; 1: something is; 2: not all of it could be asked about

`make sbom` and `make audit` first make the environment of the programs that do it, cyclonedx-bom and pip-audit.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IMAGES = ("gateway", "model-service")
PAGE = ROOT / "docs/licences.md"
PROGRAMS = ROOT / "build/supply-venv/bin"
HEAD = """# Licences

Made by `python -m tools.supply_chain licences`: what the packages in the images say of themselves. The images of the
services also hold NVIDIA's Triton image, under the licences that come with it; models are not in any image. Images
for a GPU hold onnxruntime-gpu (MIT) and CUDA's libraries, under NVIDIA's, in place of onnxruntime and OpenVINO.

| package | version | licence | in |
|---|---|---|---|
"""


def locked(image: str) -> dict[str, str]:
    """Version by package."""
    lines = (ROOT / f"requirements/{image}.txt").read_text().splitlines()
    pins = [line.partition(" ")[0] for line in lines if not line.startswith("#")]
    return dict(pin.split("==") for pin in pins)


def page() -> str:
    found: dict[tuple[str, str], list[str]] = {}
    for image in IMAGES:
        for pin in locked(image).items():
            found.setdefault(pin, []).append(image)
    rows = [
        f"| {name} | {version} | {licence(name)} | {', '.join(in_)} |" for (name, version), in_ in sorted(found.items())
    ]
    return HEAD + "\n".join(rows) + "\n"


def licence(package: str) -> str:
    """The SPDX expression, else the classifiers, else the first line of the field."""
    facts = metadata(package)
    if expression := facts.get("License-Expression"):
        return str(expression)
    classifiers = [each.rpartition(" :: ")[2] for each in facts.get_all("Classifier", []) if "License :: " in each]
    specific = [each for each in classifiers if each != "OSI Approved"]
    return ", ".join(specific) or str(facts.get("License", "")).strip().partition("\n")[0] or "not said"


def sbom(folder: Path = ROOT / "build/sbom") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for image in IMAGES:
        file = folder / f"{image}.cdx.json"
        command = [PROGRAMS / "cyclonedx-py", "requirements", "--output-reproducible", "--of", "JSON", "-o", file]
        subprocess.run([*command, f"requirements/{image}.txt"], check=True, cwd=ROOT)


def audit(flags: Sequence[str]) -> int:
    """The exit status, see above."""
    found: set[str] = set()
    answered: dict[str, bool] = {}
    for image in IMAGES:
        command = [PROGRAMS / "pip-audit", "--disable-pip", "--require-hashes", "--progress-spinner=off"]
        command += ["--format=json", *flags, "-r", f"requirements/{image}.txt"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        try:
            packages = json.loads(done.stdout)["dependencies"]
        except ValueError:
            reason = done.stderr.strip().rpartition("\n")[2]
            print(f"audit: NOTHING WAS CHECKED, no advisory database answers: {reason}", file=sys.stderr)
            return 2
        found |= {_advice(each, known) for each in packages for known in each.get("vulns", ())}
        answered |= {each["name"]: "skip_reason" not in each for each in packages}
    for line in sorted(found):
        print(line)
    return _told(len(found), [name for name, known in answered.items() if not known], len(answered))


def _told(found: int, unknown: Sequence[str], packages: int) -> int:
    if len(unknown) == packages:
        print("audit: NOTHING WAS CHECKED, the advisory database has an answer for no package", file=sys.stderr)
        return 2
    print(f"audit: {found} advisories for {packages - len(unknown)} packages in the images")
    if unknown:
        print(f"audit: NOT CHECKED, the database has no answer: {', '.join(unknown)}", file=sys.stderr)
    return 1 if found else 2 if unknown else 0


def _advice(package: Mapping[str, str], known: Mapping[str, Any]) -> str:
    fixed = ", ".join(known["fix_versions"]) or "no version"
    return f"{package['name']} {package['version']}: {known['id']}, fixed in {fixed}"


def main() -> int:
    match sys.argv[1:]:
        case ["licences"]:
            PAGE.write_text(page())
            return 0
        case ["sbom"]:
            sbom()
            return 0
        case ["audit", *flags]:
            return audit(flags)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
