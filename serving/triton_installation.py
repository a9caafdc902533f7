"""Where a tritonserver with the Python backend lies on this machine, and what it needs in order to start.

The wheel nvidia-pytriton carries the server, its libraries, the Python backend and one stub per Python version. Where
it is not installed, the server of NVIDIA's container images will do; it has a single stub, for the Python beside it.
The stub embeds libpython as an isolated interpreter: PYTHONPATH is ignored, and the first `python3` on PATH decides
which site-packages it sees.
"""

import ctypes.util
import importlib.util
import os
import sys
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from serving.errors import Unavailable

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
STUB = "triton_python_backend_stub"
# The wheel brings libpython for this version; for the others it has to be on the machine.
BUNDLED_LIBPYTHON = "3.13"
# Where NVIDIA's container images have theirs.
IMAGE_ROOT = Path("/opt/tritonserver")


@dataclass(frozen=True)
class TritonInstallation:
    """Paths inside the wheel or the image."""

    root: Path
    libraries: Path
    stub: Path

    @property
    def executable(self) -> Path:
        return self.root / "bin" / "tritonserver"

    def environment(self) -> dict[str, str]:
        """Environment of a tritonserver whose Python models run in the virtual environment of this process."""
        libraries = [str(self.libraries), str(sysconfig.get_config_var("LIBDIR"))]
        inherited = os.environ.get("LD_LIBRARY_PATH")
        return os.environ | {
            "LD_LIBRARY_PATH": ":".join(libraries + ([inherited] if inherited else [])),
            "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ.get('PATH', os.defpath)}",
        }

    def link_backends(self, folder: Path) -> Path:
        """Makes `folder` a backend directory: the Python backend beside the stub of this Python version.

        Links, because the backend looks for its stub in its own folder and the wheel's may be read-only.
        """
        if not self.stub.is_file():
            raise Unavailable(f"Triton's Python backend has no stub for Python {VERSION}", reason="NO_TRITON")
        backend = folder / "python"
        backend.mkdir(parents=True, exist_ok=True)
        for source in (*(self.root / "backends" / "python").glob("*.*"), self.stub):
            link = backend / source.name
            with suppress(FileNotFoundError):
                link.unlink()
            link.symlink_to(source)
        return folder


def find() -> TritonInstallation:
    """The installation in this environment; Unavailable, in one line, when a part of it is missing."""
    package = importlib.util.find_spec("pytriton")
    if package is None or package.origin is None:
        return _of_image()
    if not _has_libpython():
        raise Unavailable(
            f"Triton's Python backend needs libpython{VERSION}.so.1.0: install the package libpython{VERSION}",
            reason="NO_LIBPYTHON",
        )
    home = Path(package.origin).parent
    root = home / "tritonserver"
    return TritonInstallation(
        root, libraries=home.parent / "nvidia_pytriton.libs", stub=root / "python_backend_stubs" / VERSION / STUB
    )


def _of_image() -> TritonInstallation:
    if not (IMAGE_ROOT / "bin" / "tritonserver").exists():
        raise Unavailable("no tritonserver: the wheel nvidia-pytriton is not installed", reason="NO_TRITON")
    return TritonInstallation(IMAGE_ROOT, libraries=IMAGE_ROOT / "lib", stub=IMAGE_ROOT / "backends" / "python" / STUB)


def _has_libpython() -> bool:
    beside = Path(str(sysconfig.get_config_var("LIBDIR"))) / f"libpython{VERSION}.so.1.0"
    return VERSION == BUNDLED_LIBPYTHON or beside.exists() or ctypes.util.find_library(f"python{VERSION}") is not None
