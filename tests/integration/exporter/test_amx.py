"""Models go to AMX by themselves where they and the CPU are for it; where not, it is said why."""

from pathlib import Path

import pytest

from export import __main__ as command
from export import engine, precisions
from export.amx import library
from export.errors import ExportError
from export.exporter import export
from export.graph_writer import FASTEST, PADDED, Wish
from export.triton_repository import as_triton_gives_it
from serving.batching import PackedLayout
from serving.layouts import layout_of
from serving.served_model import load

SESSION = engine.runner("amx_session")
needs_amx = pytest.mark.skipif(bool(library.refusal()), reason=library.refusal())


@pytest.fixture(name="out")
def _out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture(name="sources")
def _sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the operator's sources."""
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setattr(library, "SOURCES", folder)
    # The compiled library is kept for the process: this one's for the test alone.
    monkeypatch.setattr(library, "_compiled", library._compiled.__wrapped__)
    return folder


@pytest.fixture(name="other_cpu")
def _other_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lacks something which no CPU has."""
    monkeypatch.setattr(SESSION, "CPU_FLAGS", ("amx_zorp",))


def bound(of_vectors: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(precisions.BOUNDS, "vectors", dict.fromkeys(precisions.REDUCED, of_vectors))


def written(out: Path) -> list[str]:
    return [path.name for path in out.iterdir()] if out.exists() else []


def has_library(folder: Path) -> bool:
    return (folder / "repository" / folder.name / "1" / SESSION.LIBRARY).exists()


@needs_amx
def test_auto_takes_it(embedder: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(embedder), "--out", str(out)]) == 0
    assert "to be computed in bf16 with AMX" in capsys.readouterr().out
    folder = out / embedder.name
    record = load(folder)
    assert (record.engine, record.layout, record.precisions) == ("amx", "packed", ("bf16",))
    assert record.refused.keys() == {"fp32", "fp16"}
    layout = layout_of(record)
    assert isinstance(layout, PackedLayout)
    assert not layout.in_steps
    config = as_triton_gives_it(folder / "repository" / record.name)
    assert config["parameters"]["engine"]["string_value"] == "amx"
    assert config["instance_group"] == [{"count": 1, "kind": "KIND_CPU"}]
    assert has_library(folder)


def test_the_function_takes_what_it_is_told(embedder: Path, out: Path) -> None:
    record = export(embedder, out, wish=PADDED)
    assert (record.engine, record.layout) == ("onnxruntime", "padded")
    assert not has_library(out / record.name)


OTHERS = [
    (["--precision", "fp32"], "padded", 0),
    (["--engine", "onnxruntime"], "padded", 0),
    (["--backend", "onnxruntime"], "padded", 0),
    (["--layout", "packed"], "packed", 0),
    (["--int8"], "padded", 2),  # a twin needs judged sets; the model that it is made of is there
]


@pytest.mark.parametrize(("flags", "layout", "status"), OTHERS, ids=lambda value: str(value))
def test_other_wishes_are_as_without_amx(flags: list[str], layout: str, status: int, embedder: Path, out: Path) -> None:
    assert command.main([str(embedder), *flags, "--name", "tiny", "--out", str(out)]) == status
    record = load(out / "tiny")
    assert (record.engine, record.layout) == ("onnxruntime", layout)
    assert not has_library(out / "tiny")


@needs_amx
def test_what_misses_its_bounds_is_left_padded(embedder: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound(1e-9, monkeypatch)
    said: list[str] = []
    record = export(embedder, out, report=said.append, wish=FASTEST)
    assert (record.engine, record.layout, record.precisions) == ("onnxruntime", "padded", ("fp32",))
    assert not has_library(out / record.name)
    why = [line for line in said if line.startswith(f"{record.name}: not for AMX: bf16 is not exact enough: vectors")]
    assert len(why) == 1
    assert said[-1].startswith(f"{record.name}: to be computed in fp32")


@needs_amx
def test_what_misses_its_bounds_is_refused_or_accepted(
    embedder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound(1e-9, monkeypatch)
    with pytest.raises(ExportError, match=f"^{embedder.name}: bf16 is not exact enough: vectors off by"):
        export(embedder, out, wish=Wish(engine="amx"))
    assert not written(out)
    assert export(embedder, out, wish=Wish(engine="amx", precision="bf16", accept=True)).engine == "amx"


@pytest.mark.parametrize("flags", [["--precision", "fp32"], ["--layout", "packed"], ["--backend", "onnxruntime"]])
def test_what_does_not_go_together(
    flags: list[str], embedder: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(embedder), "--engine", "amx", *flags, "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        "export: --engine amx computes in bf16 and has a layout of its own, in the python backend\n"
    )
    assert not written(out)


@pytest.mark.usefixtures("other_cpu")
def test_on_another_cpu_auto_is_padded(embedder: Path, out: Path) -> None:
    said: list[str] = []
    record = export(embedder, out, report=said.append, wish=FASTEST)
    assert (record.engine, record.layout) == ("onnxruntime", "padded")
    assert not [line for line in said if "AMX" in line]


@pytest.mark.usefixtures("other_cpu")
def test_on_another_cpu_it_is_refused(embedder: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(embedder), "--engine", "amx", "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        "export: --engine amx: this CPU has no amx_zorp; --engine onnxruntime is for any\n"
    )
    assert not written(out)


@needs_amx
def test_sources_that_do_not_compile(embedder: Path, out: Path, sources: Path) -> None:
    (sources / "broken.c").write_text("int broken(void) { return zorp; }\n")
    said: list[str] = []
    assert export(embedder, out, report=said.append, wish=FASTEST).engine == "onnxruntime"
    assert any("not for AMX: the library for AMX was not compiled: " in line and "zorp" in line for line in said)
    with pytest.raises(ExportError, match="the library for AMX was not compiled: .*broken.c:1.*zorp"):
        export(embedder, out, wish=Wish(engine="amx"))


@needs_amx
def test_a_library_that_onnxruntime_does_not_take(embedder: Path, out: Path, sources: Path) -> None:
    (sources / "empty.c").write_text("int nothing(void) { return 0; }\n")
    with pytest.raises(ExportError, match=f"^{embedder.name}: ONNX Runtime does not load it: .*RegisterCustomOps"):
        export(embedder, out, wish=Wish(engine="amx"))
    assert not written(out)
