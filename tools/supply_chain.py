"""What is in the images: python -m tools.supply_chain licences

licences   writes docs/licences.md from the metadata of the installed packages (a test holds it in step)
"""

import sys
from importlib.metadata import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGES = ("gateway", "model-service")
PAGE = ROOT / "docs/licences.md"
HEAD = """# Licences

Made by `python -m tools.supply_chain licences`: what the packages in the images say of themselves. The images of the
services also hold NVIDIA's Triton image, under the licences that come with it; models are not in any image.

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


def main() -> int:
    match sys.argv[1:]:
        case ["licences"]:
            PAGE.write_text(page())
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
