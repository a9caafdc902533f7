"""The library of the operators, compiled by the C compiler that the ziglang package brings: no other is asked for."""

import functools
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from export.engine import runner
from export.errors import ExportError

SOURCES = Path(__file__).parent
# Compiled again only when something changes; beside all else that is made here.
CACHE = SOURCES.parents[1] / "build" / "zig"
# Any Linux with a glibc of 2018 or later. What a CPU must have is asked before the library is loaded (amx_session).
TARGET = ("-target", "x86_64-linux-gnu.2.28", "-mcpu=x86_64_v4+avx512bf16+amx_tile+amx_bf16")
FLAGS = ("-O3", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-s", "-fvisibility=hidden")


def refusal() -> str:
    """Why models can't be exported for AMX here; "" where they can. An export is tried before it is kept."""
    return str(runner("amx_session").refusal())


def write(folder: Path) -> Path:
    """Puts the library into `folder`, where the runner looks for it."""
    library = folder / str(runner("amx_session").LIBRARY)
    library.write_bytes(_compiled())
    return library


@functools.cache
def _compiled() -> bytes:
    with TemporaryDirectory() as scratch:
        made = Path(scratch) / "made.so"
        sources = sorted(map(str, SOURCES.glob("*.c")))
        caches = {f"ZIG_{kind}_CACHE_DIR": str(CACHE) for kind in ("GLOBAL", "LOCAL")}
        command = [sys.executable, "-m", "ziglang", "cc", *TARGET, *FLAGS, "-o", str(made), *sources, "-lm"]
        done = subprocess.run(command, env={**os.environ, **caches}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ExportError(f"the library for AMX was not compiled: {done.stderr.strip() or done.returncode}")
        return made.read_bytes()
