"""int8 storage: what comes back is what went in, to half a step of each row's own scale."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from export.int8_storage import (  # noqa: E402
    FILE_NAME,
    FORMAT,
    StorageError,
    load_int8_state_dict,
    save_int8_state_dict,
)


def example_state() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(7)
    matrix = torch.randn(6, 40, generator=draw) * torch.logspace(-3, 2, 6)[:, None]
    matrix[3] = 0.0
    return {"layer.weight": matrix, "layer.bias": torch.randn(6, generator=draw)}


def within_half_a_step(restored: torch.Tensor, original: torch.Tensor) -> bool:
    step = original.abs().amax(dim=1, keepdim=True) / 127
    return bool(((restored - original).abs() <= step * 0.5 * (1 + 1e-5)).all())


def rewrite(folder: Path, tensors: dict[str, torch.Tensor], storage: str = FORMAT) -> None:
    save_file(tensors, folder / FILE_NAME, metadata={"storage": storage})


def test_matrices_come_back_within_half_a_step_of_their_row(tmp_path: Path) -> None:
    state = example_state()
    save_int8_state_dict(state, tmp_path)
    restored = load_int8_state_dict(tmp_path)
    assert restored.keys() == state.keys()
    assert restored["layer.weight"].dtype == torch.float32
    assert within_half_a_step(restored["layer.weight"], state["layer.weight"])
    assert torch.equal(restored["layer.bias"], state["layer.bias"])


def test_largest_weight_of_each_row_is_kept_to_rounding(tmp_path: Path) -> None:
    state = example_state()
    save_int8_state_dict(state, tmp_path)
    restored = load_int8_state_dict(tmp_path)["layer.weight"]
    torch.testing.assert_close(restored.abs().amax(dim=1), state["layer.weight"].abs().amax(dim=1))


def test_saving_again_changes_no_byte(tmp_path: Path) -> None:
    first = save_int8_state_dict(example_state(), tmp_path).read_bytes()
    assert save_int8_state_dict(example_state(), tmp_path).read_bytes() == first


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_wrong_scale_breaks_the_error_bound(tmp_path: Path, factor: float) -> None:
    state = example_state()
    stored = load_file(save_int8_state_dict(state, tmp_path))
    stored["layer.weight.scale"][1] *= factor
    rewrite(tmp_path, stored)
    assert not within_half_a_step(load_int8_state_dict(tmp_path)["layer.weight"], state["layer.weight"])


def test_scales_of_other_rows_break_the_error_bound(tmp_path: Path) -> None:
    state = example_state()
    stored = load_file(save_int8_state_dict(state, tmp_path))
    stored["layer.weight.scale"] = stored["layer.weight.scale"].flip(0).contiguous()
    rewrite(tmp_path, stored)
    assert not within_half_a_step(load_int8_state_dict(tmp_path)["layer.weight"], state["layer.weight"])


@pytest.mark.parametrize("damage", ["missing", "short", "zero"])
def test_scales_that_do_not_fit_are_refused(tmp_path: Path, damage: str) -> None:
    stored = load_file(save_int8_state_dict(example_state(), tmp_path))
    scale = stored.pop("layer.weight.scale")
    if damage == "short":
        stored["layer.weight.scale"] = scale[:-1].contiguous()
    if damage == "zero":
        stored["layer.weight.scale"] = torch.zeros_like(scale)
    rewrite(tmp_path, stored)
    with pytest.raises(StorageError, match="layer.weight"):
        load_int8_state_dict(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    rewrite(tmp_path, load_file(save_int8_state_dict(example_state(), tmp_path)), storage="int8-rows-2")
    with pytest.raises(StorageError, match=FORMAT):
        load_int8_state_dict(tmp_path)


@pytest.mark.parametrize(
    "state",
    [{"a.scale": torch.ones(2)}, {"a": torch.ones(2, dtype=torch.int64)}, {"a": torch.full((2, 2), torch.inf)}],
    ids=["reserved name", "integers", "infinite"],
)
def test_what_cannot_be_stored_is_refused(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(StorageError):
        save_int8_state_dict(state, tmp_path)
