"""What a card does at best, with which everything is compared: a large product, and a copy."""

import time
from collections.abc import Callable

import torch


def ceilings(device: torch.device, scale: float) -> dict[str, float]:
    """TFLOP/s, and TB/s read and written."""
    size = max(512, int(8192 * scale))
    kind = torch.float32 if device.type == "cpu" else torch.float16
    square, much = torch.ones(size, size, dtype=kind, device=device), torch.ones(size, 8 * size, device=device)
    product = _fastest(lambda: torch.matmul(square, square), device)
    copy_seconds = _fastest(lambda: much.clone(), device)
    return {"matmul_tflops": 2 * size**3 / product / 1e12, "copy_tb_per_s": 2 * much.nbytes / copy_seconds / 1e12}


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of ten."""
    found = []
    for _ in range(11):
        begun = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begun)
    return min(found[1:])
