"""An embed or rerank service as users start it, with its own tritonserver."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local import ports

READY_SECONDS = 120.0
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class RunningService:
    address: str
    metrics: str
    process: subprocess.Popen[bytes]
    log: Path

    def serving(self) -> bool:
        """What its health service says; False when it can't be asked."""
        with grpc.insecure_channel(self.address) as channel:
            try:
                reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
            except grpc.RpcError:
                return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    def wait_until(self, serving: bool, seconds: float) -> float:
        """Seconds until health says so."""
        started = time.monotonic()
        while self.serving() != serving:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with status {self.process.returncode}:\n{self.log.read_text()[-2000:]}")
            if time.monotonic() - started > seconds:
                raise AssertionError(f"serving is not {serving} after {seconds} s:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.1)
        return time.monotonic() - started


def free_port() -> int:
    """Never one that was given before: who has that may not listen yet."""
    while (port := ports.free(1)[0]) in _GIVEN:
        pass
    _GIVEN.add(port)
    return port


_GIVEN: set[int] = set()


@contextmanager
def running(module: str, model_dir: Path, folder: Path, *flags: str, health: str = "") -> Iterator[RunningService]:
    """`python -m module` over an exported model; ready inside the block, gone after it. Logs go to `folder`.

    `health` HOST:PORT is where to ask for its health, for a service that speaks TLS.
    """
    address, metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "service.log"
    facts = (f"--model-dir={model_dir}", f"--listen={address}", f"--metrics={metrics}", f"--log-dir={folder}")
    facts += (f"--health={health}",) if health else ()
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", module, *facts, *flags], stdout=output, stderr=output)
    service = RunningService(address, metrics, process, log)
    try:
        replace(service, address=health or address).wait_until(True, READY_SECONDS)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
