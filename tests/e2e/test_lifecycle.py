"""How the stack starts, comes back, and ends."""

import functools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import siftline
from local import ports
from serving.errors import Unavailable
from siftline import Document
from tests.running import stack
from tests.running.stack import RunningStack, alive, descendants, eventually

SECOND_START_SECONDS = 30.0
SHARED_MEMORY = Path("/dev/shm")


def serve(state: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail."""
    command = (sys.executable, "-m", "siftline.cli", "serve", f"--state={state}", *flags)
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def consecutive_free_ports() -> ports.Ports:
    for base in range(12_000, 32_000, ports.COUNT):
        with suppress(Unavailable):
            ports.require_free(found := ports.from_base(base), without="")
            return found
    raise AssertionError("no consecutive ports are free")


def child(running: RunningStack, words: str) -> int:
    return next(pid for pid, command in descendants(running.process.pid).items() if words in command)


def assert_one_line(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.timeout(600)
def test_ctrl_c_leaves_nothing_and_a_second_start_is_quick_and_has_everything(
    default_models: Path, tmp_path: Path
) -> None:
    with stack.running(tmp_path) as first:
        with siftline.Client(first.endpoints["gateway"]) as client:
            client.create_collection("kept")
            client.upsert("kept", [Document("1", "A document that is to outlive the stack.")])
        processes = descendants(first.process.pid)
        prefixes = {prefix for each in processes.values() for prefix in re.findall(r"(siftline-[0-9a-f]{12}-)", each)}
        assert len(prefixes) == 2
        assert len(processes) >= 8, processes  # redis, embed, rerank, gateway, two tritonservers, their stubs
        assert first.interrupt() == 0
        assert alive(processes) == {}
        assert not first.endpoints_file.exists()
        assert not [segment for prefix in prefixes for segment in SHARED_MEMORY.glob(f"{prefix}*")]
    started = time.monotonic()
    with stack.running(tmp_path) as second:
        assert time.monotonic() - started < stack.fair(SECOND_START_SECONDS)
        with siftline.Client(second.endpoints["gateway"]) as client:
            assert client.count("kept") == 1
            assert client.search("kept", "what outlives the stack?").hits[0].id == "1"


@pytest.mark.timeout(600)
def test_parts_that_are_killed_come_back_and_a_killed_stack_leaves_nothing(
    default_models: Path, tmp_path: Path
) -> None:
    with stack.running(tmp_path) as running, siftline.Client(running.endpoints["gateway"]) as client:
        client.create_collection("kept")
        client.upsert("kept", [Document("1", "An acknowledged document.")])
        for words in ("valkey-server", "services.rerank", "-m gateway"):
            killed = child(running, words)
            os.kill(killed, signal.SIGKILL)
            eventually(lambda killed=killed, words=words: _is_back(running, words, killed), 180)  # type: ignore[misc]
        assert client.with_timeout(60).get("kept", ["1"])[0].text == "An acknowledged document."
        found = client.with_timeout(60).search("kept", "what was acknowledged?")
        assert [hit.id for hit in found.hits] == ["1"]

        processes = descendants(running.process.pid)
        running.process.kill()
        eventually(lambda: alive(processes) == {}, 180)


def _is_back(running: RunningStack, words: str, killed: int) -> bool:
    again = [pid for pid, command in descendants(running.process.pid).items() if words in command and pid != killed]
    return bool(again) and running.siftline("status").returncode == 0


@pytest.mark.parametrize("ignored", [False, True], ids=["in a terminal", "started with &"])
def test_ctrl_c_during_the_start_leaves_nothing(default_models: Path, tmp_path: Path, ignored: bool) -> None:
    command = (sys.executable, "-m", "siftline.cli", "serve", f"--state={tmp_path}", "--port-base=0")
    inherited = functools.partial(signal.signal, signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL)
    starting = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=inherited)
    try:
        eventually(lambda: any("tritonserver" in each for each in descendants(starting.pid).values()), 180)
        processes = descendants(starting.pid)
        os.killpg(starting.pid, signal.SIGINT)
        assert starting.wait(120) == 130
    finally:
        starting.kill()
    assert alive(processes) == {}


def test_port_in_use_is_named_in_one_line(default_models: Path, tmp_path: Path) -> None:
    port = consecutive_free_ports().gateway_metrics
    with socket.create_server(("127.0.0.1", port)):
        assert_one_line(serve(tmp_path, f"--port-base={port - 3}"), f"port {port} (gateway metrics) cannot be used")


def test_second_stack_in_the_same_state_is_refused(shared_stack: RunningStack) -> None:
    assert_one_line(serve(shared_stack.state, "--port-base=0"), "another siftline runs in")


def test_model_that_was_never_exported_is_named(default_models: Path, tmp_path: Path) -> None:
    assert_one_line(serve(tmp_path, "--port-base=0", "--embed-model=nobody"), "nobody")


@pytest.mark.timeout(600)
def test_redis_of_the_user_is_used_instead_of_ours(
    shared_stack: RunningStack, default_models: Path, tmp_path: Path
) -> None:
    theirs = str(shared_stack.endpoints["redis"])
    with stack.running(tmp_path, f"--redis-url={theirs}") as running:
        assert running.endpoints["redis"] == theirs
        assert not [command for command in descendants(running.process.pid).values() if "valkey" in command]
        with siftline.Client(running.endpoints["gateway"]) as client:
            client.list_collections()


def test_redis_that_is_absent_is_named(default_models: Path, tmp_path: Path) -> None:
    assert_one_line(serve(tmp_path, "--port-base=0", "--redis-url=redis://127.0.0.1:1/0"), "127.0.0.1:1")
