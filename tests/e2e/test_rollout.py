"""New models under load: no call fails, whether the model is taken in or taken back, whoever is killed meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

import siftline
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from siftline.replicas import Replica
from siftline.rollout.v1 import rollout_pb2 as pb
from tests.running import gateway as gateways
from tests.running import model_service, model_versions, stack
from tests.running.stack import RunningStack, descendants, eventually

EMBED, RERANK = "all-minilm-l6-v2", "siftline-minilm-l6-reranker"
COLLECTION = "facts"
FACTS = [
    f"The {animal} number {n} lives in {town}."
    for n, (animal, town) in enumerate(
        (animal, town)
        for animal in ("heron", "badger", "lynx", "otter", "raven", "viper")
        for town in ("Lisbon", "Oslo", "Quito", "Hanoi", "Perth")
    )
]
QUICK = ("--shadow-calls=10", "--shadow-seconds=20", "--step-seconds=1.5", "--linger-seconds=1", "--max-slowdown=1000")
SECONDS = 120.0


@pytest.fixture(scope="module")
def models(default_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    embed, rerank = default_models / EMBED, default_models / RERANK
    model_versions.copy(embed, folder / EMBED, "")
    model_versions.copy(rerank, folder / RERANK, "")
    model_versions.copy(rerank, folder / "rerank-again", "again")
    model_versions.negated(rerank, folder / "rerank-worst", "logits")
    fault = f"if Path({str(folder / 'fault')!r}).exists(): raise RuntimeError('a fault')"
    model_versions.marred(rerank, folder / "rerank-fails", fault)
    model_versions.negated(embed, folder / "embed-negated", "vectors")
    return folder


@pytest.fixture(scope="module")
def running(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with stack.running(tmp_path_factory.mktemp("stack"), f"--models={models}") as started:
        with siftline.Client(started.endpoints["gateway"]) as client:
            client.create_collection(COLLECTION)
            client.upsert(COLLECTION, [siftline.Document(str(n), text) for n, text in enumerate(FACTS)])
        yield started


class Load:
    """Searches, calls of both services and writes, without pause. Every answer is looked at."""

    def __init__(self, gateway: str) -> None:
        self.answers = 0
        self.wrong: list[str] = []
        self._gateway = gateway
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(work,)) for work in (self._search, self._write)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self.wrong, self.wrong[:3]
        assert self.answers > 10

    def _ask(self, work: "object") -> None:
        number = 0
        with siftline.Client(self._gateway) as client:
            while not self._stop.is_set():
                try:
                    work(client, number % len(FACTS))  # type: ignore[operator]
                    self.answers += 1
                except (siftline.SiftlineError, AssertionError) as error:
                    self.wrong.append(f"{type(error).__name__}: {error}")
                number += 1

    def _search(self, client: siftline.Client, number: int) -> None:
        found = client.search(COLLECTION, FACTS[number], top_k=3, recall_depth=8)
        assert not found.degraded, found.degraded
        best = [hit.id for hit in found.hits if hit.recall_rank == 1]
        assert best == [str(number)], f"{FACTS[number]}: {found.hits}"
        assert found.hits[0].rerank_score is not None

    def _write(self, client: siftline.Client, number: int) -> None:
        client.upsert(COLLECTION, [siftline.Document(str(number), FACTS[number], metadata={"at": time.time()})])
        assert client.embed([f"{FACTS[number]} {time.time()}"]).shape == (1, 384)  # not from the cache
        time.sleep(0.02)


def replica(running: RunningStack, service: str) -> Replica:
    return Replica(running.endpoints[service])


def rollout(running: RunningStack, *arguments: str, replicas: str = "") -> subprocess.Popen[str]:
    command = (
        sys.executable,
        "-m",
        "siftline.cli",
        "rollout",
        *arguments,
        f"--replicas={replicas or running.endpoints[arguments[0]]}",
    )
    return subprocess.Popen(
        command, env=running.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def tritonservers(running: RunningStack) -> int:
    commands = descendants(running.process.pid).values()
    return sum(Path(command.partition(" ")[0]).name == "tritonserver" for command in commands)


def test_a_new_reranker_is_taken_in_although_nobody_waits_for_it(running: RunningStack) -> None:
    service = replica(running, "rerank")
    with siftline.Client(running.endpoints["gateway"]) as client, Load(running.endpoints["gateway"]):
        old = client.rerank_model().fingerprint
        asked = rollout(running, "rerank", "rerank-again", "--parity", "--steps", "0.5", "1", *QUICK)
        eventually(lambda: service.state().phase in (pb.PHASE_SHADOWING, pb.PHASE_SHIFTING), SECONDS)
        assert client.rerank_model().fingerprint == old
        asked.kill()
        asked.communicate()
        eventually(lambda: service.state().phase == pb.PHASE_DONE, SECONDS)
        state = service.state()
        assert state.old_fingerprint == old != state.new_fingerprint
        assert state.agreement > 0.999
        eventually(lambda: client.rerank_model().fingerprint == state.new_fingerprint, SECONDS)
    eventually(lambda: tritonservers(running) == 2, SECONDS)
    again = rollout(running, "rerank", "rerank-again")
    assert (again.wait(60), again.communicate()[0].count("rerank-again done")) == (0, 2)


def test_a_wrong_reranker_never_answers(running: RunningStack) -> None:
    with siftline.Client(running.endpoints["gateway"]) as client, Load(running.endpoints["gateway"]):
        before = client.rerank_model().fingerprint
        asked = rollout(running, "rerank", "rerank-worst", *QUICK)
        said, _ = asked.communicate(timeout=SECONDS)
        assert asked.returncode == 1
        assert "in the wrong order" in said
        assert client.rerank_model().fingerprint == before
    eventually(lambda: tritonservers(running) == 2, SECONDS)


def test_a_reranker_that_fails_under_way_is_taken_back(running: RunningStack, models: Path) -> None:
    service = replica(running, "rerank")
    with siftline.Client(running.endpoints["gateway"]) as client, Load(running.endpoints["gateway"]):
        before = client.rerank_model().fingerprint
        asked = rollout(running, "rerank", "rerank-fails", "--steps", "0.9", *QUICK, "--step-seconds=60")
        eventually(lambda: service.state().weight == 0.9 and service.state().new_tally.calls > 2, SECONDS)
        (models / "fault").touch()
        said, _ = asked.communicate(timeout=SECONDS)
        assert asked.returncode == 1
        assert "calls failed that the old model answered" in said
        assert client.rerank_model().fingerprint == before
    assert service.state().phase == pb.PHASE_ROLLED_BACK
    eventually(lambda: tritonservers(running) == 2, SECONDS)


def test_where_one_replica_takes_it_back_all_do(running: RunningStack, models: Path, tmp_path: Path) -> None:
    flags = (f"--rollout-dir={models}", "--instances=1", "--batch-tokens=1024")
    with ExitStack() as held:
        services = [
            held.enter_context(model_service.running("services.rerank", models / RERANK, tmp_path / name, *flags))
            for name in ("one", "other")
        ]
        one, other = (Replica(each.address) for each in services)
        both = f"{one.address},{other.address}"
        _, gateway = held.enter_context(gateways.beside(running.endpoints, tmp_path / "gateway", rerank=f"ipv4:{both}"))
        held.enter_context(Load(gateway.address))
        asked = rollout(running, "rerank", "rerank-again", *QUICK, "--shadow-calls=9999", replicas=both)
        eventually(lambda: {one.state().phase, other.state().phase} == {pb.PHASE_SHADOWING}, SECONDS)
        other.abort("seen by its operator")
        assert "seen by its operator" in asked.communicate(timeout=SECONDS)[0]
        assert asked.returncode == 1
        eventually(lambda: {one.state().phase, other.state().phase} == {pb.PHASE_ROLLED_BACK}, SECONDS)

        asked = rollout(running, "rerank", "rerank-again", "--steps", "1", *QUICK, "--step-seconds=0.5", replicas=both)
        said, _ = asked.communicate(timeout=SECONDS)
        assert (asked.returncode, said.count("rerank-again done")) == (0, 4), said  # as it goes, and at the end
        with siftline.Client(gateway.address) as client:
            eventually(lambda: client.rerank_model().fingerprint == one.state().new_fingerprint, SECONDS)


def test_a_new_vector_space(running: RunningStack) -> None:
    """Vectors of the two models are opposites: a search that met both would find the farthest for the nearest. The
    service is killed while it has both, and has both again."""
    service = replica(running, "embed")
    gateway = running.endpoints["gateway"]
    with siftline.Client(gateway) as client:
        old = client.embed_model().fingerprint
        with Load(gateway):
            service.start(
                "embed-negated", pb.Plan(shadow_calls=10, shadow_seconds=20, linger_seconds=1, max_slowdown=1000)
            )
            eventually(lambda: service.state().phase == pb.PHASE_WAITING, SECONDS)
        new = service.state().new_fingerprint
        assert service.state().agreement < -0.99
        _kill(running, "services.embed")
        eventually(lambda: _answers(gateway, old) and _answers(gateway, new), SECONDS)
        with Load(gateway):
            asked = rollout(running, "embed", "embed-negated", f"--address={gateway}", *QUICK)
            said, _ = asked.communicate(timeout=SECONDS)
            assert asked.returncode == 0, said
            assert f"1 rebuilt, {len(FACTS)} documents" in said
        assert client.get_collection(COLLECTION).fingerprint == client.embed_model().fingerprint == new
    assert service.state().phase == pb.PHASE_DONE
    eventually(lambda: tritonservers(running) == 2, SECONDS)


def _kill(running: RunningStack, module: str) -> None:
    processes = descendants(running.process.pid)
    os.kill(next(pid for pid, command in processes.items() if module in command), signal.SIGKILL)


def _answers(gateway: str, fingerprint: str) -> bool:
    with grpc.insecure_channel(gateway) as channel:
        stub = embed_pb2_grpc.EmbedServiceStub(channel)
        try:
            reply = stub.Embed(embed_pb2.EmbedRequest(texts=["a"], fingerprint=fingerprint), timeout=30)
        except grpc.RpcError:
            return False
    return bool(reply.fingerprint == fingerprint)
