"""Weights stored as int8: each matrix row has its own scale, everything else stays float32.

The file ``model.int8.safetensors`` holds, for a matrix ``name`` [rows, columns], the int8 tensor ``name`` and the
float32 tensor ``name.scale`` [rows]; a weight is their product. Vectors and scalars are float32 as they are. This is a
way of storing, not of computing: the model runs on the float32 weights that :func:`load_int8_state_dict` returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from export.source import INT8_WEIGHTS

FILE_NAME = INT8_WEIGHTS
FORMAT = "int8-rows-1"
SCALE_SUFFIX = ".scale"
LARGEST = 127


class StorageError(ValueError):
    """The file is not in this format, or its tensors do not belong together."""


def save_int8_state_dict(state: Mapping[str, torch.Tensor], folder: Path) -> Path:
    """Writes a state dict of floating point tensors to ``folder``; returns the file's path.

    Raises:
        StorageError: A tensor is not floating point, not finite, or bears a name kept for scales.
    """
    stored: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        _check_storable(name, tensor)
        stored |= _matrix_entries(name, tensor) if tensor.dim() == 2 else {name: _plain(tensor)}
    path = folder / FILE_NAME
    save_file(stored, path, metadata={"storage": FORMAT})
    path.chmod(0o644)  # safetensors writes for the owner alone
    return path


def load_int8_state_dict(folder: Path) -> dict[str, torch.Tensor]:
    """The float32 state dict that ``folder`` holds, under the names it was saved with.

    Raises:
        StorageError: Another format, a matrix without its scales, scales of another length or not positive.
    """
    with safe_open(folder / FILE_NAME, framework="pt") as file:
        if (file.metadata() or {}).get("storage") != FORMAT:
            raise StorageError(f"{FILE_NAME}: not stored as {FORMAT}")
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a handle, not a mapping)
    names = [name for name in stored if not name.endswith(SCALE_SUFFIX)]
    return {name: _restored(name, stored) for name in names}


def _check_storable(name: str, tensor: torch.Tensor) -> None:
    if name.endswith(SCALE_SUFFIX):
        raise StorageError(f"{name}: names ending in {SCALE_SUFFIX} are kept for scales")
    if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
        raise StorageError(f"{name}: only finite floating point tensors are stored")


def _matrix_entries(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    rows = tensor.detach().float()
    largest = rows.abs().amax(dim=1)
    scale = torch.where(largest > 0, largest / LARGEST, torch.ones_like(largest))
    levels = torch.round(rows / scale[:, None]).clamp(-LARGEST, LARGEST).to(torch.int8)
    return {name: levels.contiguous(), name + SCALE_SUFFIX: scale.contiguous()}


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().float().contiguous()


def _restored(name: str, stored: Mapping[str, torch.Tensor]) -> torch.Tensor:
    tensor = stored[name]
    if tensor.dtype != torch.int8:
        return tensor.float()
    scale = stored.get(name + SCALE_SUFFIX)
    if scale is None or scale.shape != tensor.shape[:1] or not bool((scale > 0).all()):
        raise StorageError(f"{name}: needs one positive scale for each of its rows")
    return tensor.float() * scale.float()[:, None]
