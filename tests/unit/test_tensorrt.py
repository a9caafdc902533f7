"""TensorRT without TensorRT: what engines are built for, what is set, and what takes its place."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export import engine
from export.errors import ExportError
from export.graph_writer import Wish
from serving.runner.tensorrt_profiles import TOKENS, profiles, shapes

runner = engine.runner("gpu_session")
FOR_TENSORRT = {"engine": "tensorrt", "precision": "fp16,fp32", "max_tokens": "512", "gpu_memory": "0.9"}


@given(st.integers(8, 8192), st.data())
def test_some_engine_takes_each_batch_of_the_budget(max_tokens: int, data: st.DataObject) -> None:
    """Of rows that are not shorter than the shortest that engines are made for."""
    length = data.draw(st.integers(8, max_tokens))
    rows = data.draw(st.integers(1, max(1, TOKENS // length)))
    assert any(rows <= most and length <= longest for _, _, (most, longest) in profiles(max_tokens))


@given(st.integers(1, 8192))
def test_profiles_are_in_order(max_tokens: int) -> None:
    for smallest, best, largest in profiles(max(8, max_tokens)):
        assert smallest[0] <= best[0] <= largest[0]
        assert smallest[1] <= best[1] <= largest[1] <= max(8, max_tokens)


def test_settings(tmp_path: Path) -> None:
    inputs = ["input_ids", "attention_mask"]
    found = runner.tensorrt_settings(tmp_path, {"device_id": "3"}, "fp16", shapes(inputs, profiles(512)[1]))
    assert found == {
        "device_id": "3",
        "trt_fp16_enable": "1",
        "trt_layer_norm_fp32_fallback": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(tmp_path / "tensorrt"),
        "trt_engine_cache_prefix": "fp16-128",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(tmp_path / "tensorrt"),
        "trt_profile_min_shapes": "input_ids:1x1,attention_mask:1x1",
        "trt_profile_opt_shapes": "input_ids:128x128,attention_mask:128x128",
        "trt_profile_max_shapes": "input_ids:496x128,attention_mask:496x128",
    }


class Value(SimpleNamespace):
    def shape(self) -> tuple[int, ...]:
        return tuple(self.size)


@pytest.mark.parametrize(("size", "taken"), [((4, 20), 32), ((2048, 32), 32), ((2, 33), 128), ((127, 129), 512)])
def test_a_batch_goes_to_the_first_engine_that_takes_it(size: tuple[int, int], taken: int) -> None:
    sessions = {
        largest: SimpleNamespace(run_with_ort_values=lambda names, feed, length=largest[1]: length)
        for _, _, largest in profiles(512)
    }
    assert runner.Profiles(sessions).run_with_ort_values([], {"input_ids": Value(size=size)}) == taken


def test_too_many_rows_may_be_split() -> None:
    with pytest.raises(MemoryError, match="3000 rows of 30 tokens") as raised:
        runner.Profiles({}).run_with_ort_values([], {"input_ids": Value(size=(3000, 30))})
    described = engine.runner("model").describe(raised.value)
    assert described.startswith("OUT_OF_MEMORY")


@pytest.fixture
def gpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ONNX Runtime with CUDA and TensorRT built in, on a machine with CUDA alone."""
    providers = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    ort = SimpleNamespace(get_available_providers=lambda: providers, preload_dlls=lambda: None, cuda_version="13.0")
    library = runner.ctypes.CDLL
    monkeypatch.setattr(runner, "ort", ort)
    monkeypatch.setattr(runner.ctypes, "CDLL", lambda name: None if "cudart" in name else library(name))
    monkeypatch.setattr(runner, "memory", lambda cudart, device: 1 << 30)


@pytest.mark.usefixtures("gpu_build")
def test_cuda_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def open_cuda(graph: Path, cuda: dict[str, str], *others: Any) -> dict[str, str]:
        return cuda

    monkeypatch.setattr(runner, "open_cuda", open_cuda)
    with caplog.at_level(logging.WARNING):
        settings = runner.open_on_gpu(tmp_path / "model.onnx", 2, FOR_TENSORRT, {}, instances=2)
    assert settings == {
        "device_id": "2",
        "arena_extend_strategy": "kSameAsRequested",
        "gpu_mem_limit": str(int((1 << 30) * 0.9 / 2)),
    }
    assert "TensorRT is not here, CUDA computes instead: libnvinfer.so.10" in caplog.text


@pytest.mark.usefixtures("gpu_build")
def test_bf16_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "lacks_tensorrt", str)
    with pytest.raises(ValueError, match="^precision bf16: TensorRT computes in fp16 or fp32$"):
        runner.open_on_gpu(tmp_path / "model.onnx", 0, FOR_TENSORRT | {"precision": "bf16"}, {})


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"layout": "packed", "engine": "tensorrt"}, "no PackedMultiHeadAttention"),
        ({"backend": "tensorrt"}, "needs --engine tensorrt"),
    ],
)
def test_what_does_not_go_together(wish: dict[str, Any], reason: str) -> None:
    with pytest.raises(ExportError, match=reason):
        Wish(**wish)


def test_arrays_of_any_session_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU's session answers with tensors of ONNX Runtime, a GPU's with arrays."""
    model, array = engine.runner("model"), np.ones((2, 3), np.float32)
    monkeypatch.setattr(model.pb_utils, "Tensor", lambda name, value: value, raising=False)
    monkeypatch.setattr(model, "THROUGH_DLPACK", False)
    for value in (array, model.ort.OrtValue.ortvalue_from_numpy(array)):
        np.testing.assert_array_equal(model.give("vectors", value), array)
