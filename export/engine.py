"""The engine as a service's runner opens it, without Triton around it."""

import functools
import importlib.util
import sys
from types import ModuleType
from typing import Any

from export.triton_repository import RUNNER


@functools.cache
def runner() -> Any:
    """The runner's module. What it imports of Triton exists only inside of one."""
    sys.modules.setdefault("triton_python_backend_utils", ModuleType("triton_python_backend_utils"))
    spec = importlib.util.spec_from_file_location("siftline_runner", RUNNER)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
