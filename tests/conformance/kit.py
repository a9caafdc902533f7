"""The conformance kit: tiny models, their inputs, and what the families' own libraries made of them."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).parents[3] / "shared" / "conformance"


def require() -> None:
    """Skips where the kit is absent; in CI it must be there."""
    if ROOT.is_dir():
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"the conformance kit is not at {ROOT}")
    pytest.skip("the conformance kit (../shared/conformance) is not on this machine")


@cache
def inputs() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "inputs.json").read_text("utf-8"))
    return found


@cache
def reference(name: str) -> dict[str, NDArray[np.float32]]:
    """Arrays of refs/NAME.npz."""
    with np.load(ROOT / "refs" / f"{name}.npz") as arrays:
        return dict(arrays)
