"""The engine as a service's runner opens it, without Triton around it."""

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

RUNNER = Path(__file__).parent.parent / "serving" / "runner"


@functools.cache
def runner(name: str = "model") -> Any:
    """A module of the runner. What it imports of Triton exists only inside of one; the rest lies beside it."""
    sys.modules.setdefault("triton_python_backend_utils", ModuleType("triton_python_backend_utils"))
    sys.path.append(str(RUNNER))
    spec = importlib.util.spec_from_file_location(f"siftline_runner_{name}", RUNNER / f"{name}.py")
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
