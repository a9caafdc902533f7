"""A model exported for AMX says what it needs where it can't be served as wished; and when it is stale."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export import engine, freshness
from export.amx import library
from export.exporter import export
from export.graph_writer import FASTEST, Wish
from export.source import Source
from export.triton_repository import version_folder
from tests.running.model_service import free_port

needs_amx = pytest.mark.skipif(bool(library.refusal()), reason=library.refusal())


@pytest.fixture(name="model")
def _model(embedder: Path, tmp_path: Path) -> Path:
    return tmp_path / "out" / export(embedder, tmp_path / "out", wish=Wish(engine="amx")).name


def said_at_the_start(model: Path, *flags: str) -> str:
    """On stderr, by a service that does not start."""
    settings = (f"--model-dir={model}", f"--listen=127.0.0.1:{free_port()}", f"--log-dir={model.parent}", *flags)
    command = [sys.executable, "-m", "services.embed", *settings]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 2
    return ended.stderr


@needs_amx
def test_a_service_on_another_cpu(model: Path) -> None:
    """The runner beside the graph is told to ask for what no CPU has."""
    runner = version_folder(model / "repository", model.name) / "amx_session.py"
    runner.write_text(runner.read_text().replace('CPU_FLAGS = ("amx_tile"', 'CPU_FLAGS = ("amx_zorp"'))
    assert (
        "the model was exported for CPUs with AMX, and this CPU has no amx_zorp; "
        "export it with --engine onnxruntime" in said_at_the_start(model)
    )


@needs_amx
def test_a_service_that_is_to_compute_in_fp32(model: Path) -> None:
    assert said_at_the_start(model, "--precision=fp32") == (
        f"siftline: precision fp32: refused when {model.name} was exported (AMX computes in bf16; --engine onnxruntime "
        "has it); auto takes bf16; to serve fp32 all the same, export it with --precision fp32 --accept\n"
    )


def test_an_export_is_stale_on_another_cpu(embedder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(embedder, embedder.name)
    folder = tmp_path / "out" / export(embedder, tmp_path / "out", wish=FASTEST).name
    assert freshness.is_current(folder, freshness.built_from(source, None, None))
    monkeypatch.setattr(engine.runner("amx_session"), "CPU_FLAGS", ("amx_zorp",))
    assert not freshness.is_current(folder, freshness.built_from(source, None, None))


@pytest.mark.parametrize("name", ["layer.c", "tiles.h", "library.py"])
def test_an_export_is_stale_when_the_operator_has_changed(
    name: str, embedder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the sources as they lie in a copy of the exporter."""
    source, code = Source(embedder, embedder.name), Path(freshness.__file__).parent
    copy = shutil.copytree(code, tmp_path / "export", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(freshness, "__file__", str(copy / "freshness.py"))
    before = freshness.built_from(source, None, None)
    assert freshness.built_from(source, None, None) == before
    with (copy / "amx" / name).open("a") as file:
        file.write("\n")
    assert freshness.built_from(source, None, None) != before
