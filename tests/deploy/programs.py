"""Programs that the tests of deploy/ need. Missing ones skip a test on a developer's machine and fail it in CI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def program(name: str, package: str, environment: str = "") -> str:
    """Path of `name`: in build/`environment` (make test makes it), else beside this interpreter (wheels that bring
    programs); or on PATH."""
    folder = ROOT / "build" / environment / "bin" if environment else Path(sys.executable).parent
    found = str(folder / name) if (folder / name).exists() else shutil.which(name)
    if found is not None:
        return found
    reason = f"{name} is not installed: it comes with {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Standard output; fails the test with what the program said otherwise."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{Path(str(command[0])).name}: {done.stdout}\n{done.stderr}"
    return done.stdout
