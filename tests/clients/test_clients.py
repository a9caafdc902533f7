"""Each client as it is on PyPI, at our URL; and docs/clients.md, which says what was tried."""

import json
import os
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients import page

Finished = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def runs(environment: Path, truth: Path) -> dict[str, "Future[Finished]"]:
    """Every program, two at a time: most of their time is importing."""
    with ThreadPoolExecutor(2) as pool:
        return {name: pool.submit(_run, environment, name, truth) for name in page.PROGRAMS}


def _run(environment: Path, name: str, truth: Path) -> Finished:
    settings = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    # Nothing but the gateway is asked for anything.
    settings |= {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "DO_NOT_TRACK": "1",
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "PYTHONPATH": "",
    }
    part = environment / name.partition("_")[0]
    if part.is_dir():  # what does not go with the other clients
        settings["PYTHONPATH"] = str(part)
    command = (str(environment / "bin/python"), "-m", "tests.clients.run", name, str(truth))
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", page.PROGRAMS)
def test_client(runs: dict[str, "Future[Finished]"], name: str) -> None:
    run = runs[name].result()
    assert run.returncode == 0, run.stderr[-3000:]
    done = [json.loads(line)["check"] for line in run.stdout.splitlines() if line.startswith('{"check"')]
    assert done == [check for check, _ in page.checks(name)]


def test_the_page_says_what_is_tried() -> None:
    assert page.FILE.read_text() == page.text(), "run: python -m tests.clients.page"
