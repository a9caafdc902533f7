"""How large a batch pays on this machine: a short sweep at first start, kept beside the model.

Small batches leave room for the next request; large ones use the engine better. The smallest budget whose speed is
within TOLERANCE of the best is taken.
"""

import itertools
import json
import logging
import os
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from serving.batching import Batch, Engine, Layout, Rows

log = logging.getLogger(__name__)

# Row lengths from, to, and how far apart.
STEPS = ((4, 32, 4), (32, 256, 8), (256, 1 << 20, 16))
LENGTHS = (20, 64, 200)
# The last two are for GPUs; a CPU takes longer than LONGEST_BATCH_SECONDS before them.
BUDGETS = (128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768)
TOLERANCE = 0.06
REPEATS = 2
# Short batches are repeated for so long: one that something else disturbed must not make them look slow.
LEAST_SECONDS = 0.06
SWEEP_SECONDS = 12.0
# A batch keeps the next request waiting: none longer than this, whatever it would gain.
LONGEST_BATCH_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Calibration:
    """Budget of a batch (tokens, padding counted) and speed of one instance at that budget."""

    batch_tokens: int
    seconds_per_token: float


def length_edges(longest: int) -> tuple[int, ...]:
    """Row lengths that the engine is given, and upper bounds of the length buckets: multiples of STEPS to `longest`.

    OpenVINO spends 6 to 10 ms on each new shape and 2 ms on each change of shape. So few lengths cost less than the
    padding to reach them; at multiples of 8 its kernels are faster, too.
    """
    edges = {min(longest, edge) for begin, end, step in STEPS for edge in range(begin, min(end, longest + step), step)}
    return tuple(sorted(edges | {longest}))


async def calibrate(engine: Engine, layout: Layout, longest: int, folder: Path, engine_key: str) -> Calibration:
    """The calibration for this model, engine and CPU: from the file in `folder` if there, else measured."""
    file = folder / "calibration.json"
    key = f"{engine_key}-{os.cpu_count()}cpu"
    known = _read(file)
    if key in known:
        return known[key]
    log.info("measuring batch sizes, once for this model and machine")
    found = _choose(await _sweep(engine, layout, longest))
    log.info("batches of %d tokens, %.1f µs a token", found.batch_tokens, found.seconds_per_token * 1e6)
    _write(file, {**known, key: found})
    return found


async def _sweep(engine: Engine, layout: Layout, longest: int) -> dict[int, list[float]]:
    """Seconds per token by budget, one figure for each length."""
    figures: dict[int, list[float]] = {}
    stop = time.monotonic() + SWEEP_SECONDS
    for budget in BUDGETS:
        for length in sorted({min(length, longest) for length in LENGTHS}):
            figures.setdefault(budget, []).append(await _fastest(engine, _shapes(budget, length, layout)))
        if time.monotonic() > stop or 2 * budget * max(figures[budget]) > LONGEST_BATCH_SECONDS:
            break
    return figures


async def _fastest(engine: Engine, batches: list[Batch]) -> float:
    """Seconds per token of the fastest of some batches, each of another shape than the one before, as in service."""
    for batch in batches:
        await engine.run(batch)
    seconds: list[float] = []
    begun = time.perf_counter()
    for number, batch in enumerate(itertools.cycle(batches)):
        started = time.perf_counter()
        if number >= REPEATS * len(batches) and started - begun > LEAST_SECONDS:
            break
        await engine.run(batch)
        seconds.append((time.perf_counter() - started) / batch.tokens)
    return min(seconds)


def _shapes(budget: int, length: int, layout: Layout) -> list[Batch]:
    """Two batches of about the same size."""
    rows = max(1, budget // length)
    return [_batch(rows, length, layout), _batch(rows, max(1, length - 8), layout)]


def _batch(rows: int, length: int, layout: Layout) -> Batch:
    ids = np.full(rows * length, layout.pad_token_id + 1, np.int32)
    return layout.batch([Rows(ids, np.full(rows, length, np.int32))])


def _choose(figures: dict[int, list[float]]) -> Calibration:
    """Geometric mean over the lengths, so that none of them decides alone."""
    means = {budget: float(np.exp(np.mean(np.log(seconds)))) for budget, seconds in figures.items()}
    best = min(means.values())
    budget = min(budget for budget, mean in means.items() if mean <= best * (1 + TOLERANCE))
    return Calibration(budget, means[budget])


def _read(file: Path) -> dict[str, Calibration]:
    """What the file knows; one that can't be read or was spoilt knows nothing."""
    try:
        return {key: Calibration(int(found[0]), float(found[1])) for key, found in json.loads(file.read_text()).items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return {}


def _write(file: Path, known: dict[str, Calibration]) -> None:
    """A read-only model folder is fine: the sweep is then made at every start."""
    try:
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({key: astuple(found) for key, found in known.items()}, indent=1))
        temporary.replace(file)
    except OSError as error:
        log.warning("calibration not kept: %s", error)
