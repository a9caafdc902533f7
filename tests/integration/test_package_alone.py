"""What users install: the package siftline needs nothing of a checkout, and brings nothing large along."""

import subprocess
import sys

# Of third parties, only what pyproject.toml lists as dependencies, and what grpc itself loads where it is installed.
ALLOWED = {"siftline", "google", "numpy", "grpc", "grpc_status", "typing_extensions"}
ALLOWED |= {"grpc_tools", "grpc_health", "grpc_reflection"}

LOADED = """
import sys
before = set(sys.modules)
import siftline, siftline.cli
names = {name.partition(".")[0] for name in set(sys.modules) - before}
print("\\n".join(sorted(names - set(sys.stdlib_module_names))))
"""


def test_importing_it_loads_its_dependencies_and_nothing_else() -> None:
    done = subprocess.run((sys.executable, "-c", LOADED), capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if not name.startswith(("_", "cython"))}
    assert loaded <= ALLOWED


def test_command_that_needs_a_checkout_says_so() -> None:
    hide = "import sys; sys.modules['local'] = None; import siftline.cli; sys.exit(siftline.cli.main(['serve']))"
    done = subprocess.run((sys.executable, "-c", hide), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("siftline: this command runs from a checkout")
