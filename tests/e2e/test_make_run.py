"""`make run`: the main job, as the README promises it."""

import subprocess
import time
from pathlib import Path

import pytest

import siftline
from tests.running import stack
from tests.running.stack import alive, descendants

DOCUMENTS = 8000
FIRST_START_SECONDS = 900.0
SECOND_START_SECONDS = 30.0


@pytest.mark.timeout(1200)
def test_it_indexes_answers_serves_and_leaves_nothing(
    default_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "READY_SECONDS", FIRST_START_SECONDS)
    command = ("make", "run", f"ARGS=--state={tmp_path} --port-base=0")
    started = time.monotonic()
    with stack.running(tmp_path, command=command) as running:
        stack.eventually(lambda: "Ctrl-C stops everything" in running.output.read_text(), FIRST_START_SECONDS)
        first = time.monotonic() - started
        with siftline.Client(running.endpoints["gateway"]) as client:
            assert client.count("python") >= DOCUMENTS
            hits = client.search("python", "How do I parse JSON from a string?").hits
            assert "json.loads" in [hit.id.partition("#")[0] for hit in hits[:3]]
            assert (
                client.search("python", "sine of an angle", filter='kind = "function"', top_k=1).hits[0].id
                == "math.sin"
            )
        processes = descendants(running.process.pid)
        running.interrupt()
        assert alive(processes) == {}

    started = time.monotonic()
    again = subprocess.run((*command, "ONCE=1"), capture_output=True, text=True, timeout=FIRST_START_SECONDS)
    assert again.returncode == 0, again.stderr
    assert time.monotonic() - started < max(SECOND_START_SECONDS, first / 2), "nothing is indexed twice"
    for word in ("recall", "rerank", "title", "snippet", "total"):
        assert word in again.stdout
