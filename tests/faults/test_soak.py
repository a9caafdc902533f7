"""Five minutes of soak in CI, as a process beside the tests that follow: what it measures are no times.

Here, after all that count answers a second or fill the machine; its verdict is asked for when all others are done.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from serving import served_model
from tests.faults import system

# A third of a core. Not at a lower priority: a service whose inference has to wait for five seconds starts its
# tritonserver again, and a soak can't go on with another process.
LOAD = ("--seconds=300", "--warm-up=60", "--think=1.5")
# Of models' processes: OpenVINO keeps something for every shape of batch, and in so short a time meets new ones.
SHAPES = ("--models=0.06",)
LONGEST_SECONDS = 900.0
STOP_SECONDS = 60.0
LINES = 15  # of the log: what was seen last, and what clients saw
ASKED = os.environ.get("CI") == "true" or "SIFTLINE_SOAK" in os.environ

pytestmark = [
    pytest.mark.skipif(not ASKED, reason="left to CI, SIFTLINE_SOAK=1 and make soak"),
    pytest.mark.timeout(LONGEST_SECONDS + STOP_SECONDS),
]


@dataclass(frozen=True)
class Soak:
    process: subprocess.Popen[bytes]
    table: Path
    log: Path

    def words(self) -> str:
        """The table and the end of the log."""
        return "\n".join([self.table.read_text(), *self.log.read_text().splitlines()[-LINES:]])

    def end(self) -> None:
        """Now, if it has not ended; its parts are told by the kernel."""
        parts = [] if self.process.poll() is not None else psutil.Process(self.process.pid).children(recursive=True)
        self.process.terminate()
        self.process.wait(STOP_SECONDS)
        psutil.wait_procs(parts, STOP_SECONDS)


@pytest.fixture(scope="session", name="soak")
def _soak(default_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Soak]:
    """Begun by the first that asks for it, ended with the run."""
    folder = tmp_path_factory.mktemp("soak")
    table, log = folder / "table.txt", folder / "log.txt"
    shapes = () if _all_our_own(default_models) else SHAPES
    command = (sys.executable, "-m", "tests.faults.soak", *LOAD, *shapes)
    with table.open("wb") as output, log.open("wb") as errors:
        environment = os.environ | {"TMPDIR": str(folder)}
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment, process_group=0)
    soak = Soak(process, table, log)
    yield soak
    soak.end()


def _all_our_own(models: Path) -> bool:
    """Whether the operators that compute the default models are ours."""
    return all(served_model.load(models / name).engine == "amx" for name in system.MODELS.values())


def test_it_has_begun(soak: Soak) -> None:
    assert soak.process.poll() is None, soak.words()


@pytest.mark.last
def test_nothing_has_grown(soak: Soak) -> None:
    assert soak.process.wait(LONGEST_SECONDS) == 0, soak.words()
