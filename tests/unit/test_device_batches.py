"""What the runner prepares for a GPU, without one: shapes of CUDA graphs, memory, words for its lack."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export import engine
from serving.batching import PackedLayout, Rows

device_session = engine.runner("device_session")
gpu_session = engine.runner("gpu_session")
INPUTS = ("input_ids", "position_ids", "token_offset", "cu_seqlens", "row_numbers", "token_rows")

few_lengths = st.lists(st.integers(1, 120), min_size=1, max_size=15)


def batch(lengths: list[int]) -> dict[str, np.ndarray]:
    rows = Rows(np.arange(sum(lengths), dtype=np.int32) + 5, np.array(lengths, np.int32))
    return PackedLayout(INPUTS, pad_token_id=0).batch([rows]).arrays


@given(few_lengths)
@settings(deadline=None, max_examples=60)
def test_shapes_go_by_the_number_of_tokens_alone(lengths: list[int]) -> None:
    feed = batch(lengths)
    fixed = device_session.in_fixed_shapes(feed)
    tokens, most = feed["input_ids"].size, device_session.GRAPH_SEQUENCES
    assert device_session.small(feed)
    assert {name: array.shape for name, array in fixed.items()} == {
        **dict.fromkeys(("input_ids", "position_ids", "token_rows"), (tokens,)),
        "token_offset": (most, tokens),
        "cu_seqlens": (most + 1,),
        "row_numbers": (most,),
    }
    assert {array.dtype for array in fixed.values()} == {np.dtype(np.int32)}


@given(few_lengths)
@settings(deadline=None, max_examples=60)
def test_the_sequences_stay_what_they_are(lengths: list[int]) -> None:
    feed = batch(lengths)
    fixed = device_session.in_fixed_shapes(feed)
    before = np.diff(feed["cu_seqlens"]).tolist()
    after = np.diff(fixed["cu_seqlens"])
    assert after.tolist() == before + [0] * (len(after) - len(before))
    assert fixed["row_numbers"][: len(lengths)].tolist() == feed["row_numbers"].tolist()
    slots = np.arange(fixed["token_offset"].size).reshape(fixed["token_offset"].shape)
    real = np.arange(slots.shape[1]) < after[:, None]
    assert fixed["token_offset"].ravel().tolist() == [*slots[real], *slots[~real]]


@pytest.mark.parametrize("lengths", [[1] * 17, [2049], [500] * 5])
def test_large_batches_are_not_for_graphs(lengths: list[int]) -> None:
    assert not device_session.small(batch(lengths))


def test_padded_batches_are_not_for_graphs() -> None:
    assert not device_session.small({"input_ids": np.ones((1, 32), np.int32)})


@given(st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=4), min_size=1, max_size=4))
@settings(deadline=None, max_examples=30)
def test_arrays_lie_apart_in_one_piece_of_memory(batches: list[list[int]]) -> None:
    memory = device_session.HostMemory()
    for sizes in batches:
        feed = {str(number): np.full(size, number + 1, np.int32) for number, size in enumerate(sizes)}
        flat, first = device_session.joined(feed, memory), 0
        for array in feed.values():
            assert first % device_session.ALIGNMENT == 0
            assert flat[first : first + array.size].tolist() == array.tolist()
            first += device_session.aligned(array.size)


class Cudart:
    """Counts what is page-locked, as CUDA does: twice the same memory, or memory that is not, is an error there."""

    def __init__(self) -> None:
        self.locked: dict[int | None, int] = {}

    def cudaHostRegister(self, place: ctypes.c_void_p, size: ctypes.c_size_t, flags: int) -> int:
        self.locked[place.value] = size.value
        return 0

    def cudaHostUnregister(self, place: ctypes.c_void_p) -> int:
        return 0 if self.locked.pop(place.value, None) else 712


def test_memory_is_locked_once_and_let_go_when_it_grows() -> None:
    cudart = Cudart()
    memory = device_session.HostMemory(cudart)
    for count in (10, 5, 1000, 20):
        taken = memory.take(count)
        ((place, size),) = cudart.locked.items()
        assert place == taken.ctypes.data
        assert size >= taken.nbytes


@pytest.mark.parametrize(
    "text",
    [
        "[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for requested buffer of size 4294967296",
        "Available memory of 0 is smaller than requested bytes of 1024",
        "CUDA failure 2: out of memory ; GPU=0",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        "std::bad_alloc",
    ],
)
def test_lack_of_memory_is_told_as_such(text: str) -> None:
    runner = engine.runner("model")
    assert runner.describe(RuntimeError(text)) == f"OUT_OF_MEMORY RuntimeError: {text}"


def test_other_faults_are_not_lack_of_memory() -> None:
    runner = engine.runner("model")
    assert runner.describe(RuntimeError("CUDA failure 700: an illegal memory access")).startswith("RuntimeError")


def test_the_arena_leaves_room_for_weights_and_other_instances(tmp_path: Path) -> None:
    graph = tmp_path / "model.onnx"
    graph.write_bytes(bytes(1000))
    (tmp_path / "model.onnx.data").write_bytes(bytes(2000))
    assert gpu_session.arena_limit(graph, 20_000, 0.8, 2) == 5_000
    with pytest.raises(ValueError, match="^gpu_memory: 0.1 of 20000 bytes is too little for 1 times the weights$"):
        gpu_session.arena_limit(graph, 20_000, 0.1, 1)


def test_a_gpu_without_cuda_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="install onnxruntime-gpu"):
        gpu_session.open_on_gpu(tmp_path / "model.onnx", 0, {}, {})
