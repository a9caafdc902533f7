"""The engine as a service's runner opens it, without Triton around it."""

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from serving.served_model import ServedModel

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


def open_session(graph: Path, model: ServedModel, threads: int) -> Any:
    """A session of ONNX Runtime on this CPU, computing as a service that serves `model` here would."""
    if model.engine == "amx":
        return runner("amx_session").open_with_amx(graph, threads)[0]
    return runner().open_session(graph, ",".join(model.precisions), threads)[0]
