"""In which types an engine may compute a model: those that keep its numbers near the fp32 graph's, and their order.

Judged by the engine that serves, on `sample.many_rows`. What no sample holds is the worst text, so a part of each bound
is left for it: on the models of the conformance kit, all that passes here is within the whole bounds there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy.stats import spearmanr
from tokenizers import Tokenizer

from export import engine, sample
from export.errors import ExportError
from serving.batching.rows import Rows, take
from serving.layouts import layout_of
from serving.served_model import TOKEN_OUTPUTS, TOKEN_VECTORS, TOKEN_WEIGHTS, EnginePrecision, ServedModel

Floats = NDArray[np.float32]

# On any text: components of unit vectors, weights of tokens (a tenth of a logit), logits.
BOUNDS: dict[str, dict[EnginePrecision, float]] = {
    "vectors": {"bf16": 1e-2, "fp16": 1e-3},
    TOKEN_VECTORS: {"bf16": 1e-2, "fp16": 1e-3},
    TOKEN_WEIGHTS: {"bf16": 2e-2, "fp16": 3e-3},
    "logits": {"bf16": 0.3, "fp16": 3e-2},
}
SPEARMAN = 0.999
# Of a bound, what the sample may take: of logits less, as it has 64 numbers of them and of vectors thousands.
# Of the loss of order that SPEARMAN allows, half.
OF_BOUND = {"vectors": 0.8, TOKEN_VECTORS: 0.8, TOKEN_WEIGHTS: 0.8, "logits": 0.6}
OF_LOSS = 0.5
REDUCED: tuple[EnginePrecision, ...] = ("bf16", "fp16")
# fp16 last: on CPUs without amx_fp16 it is slower than fp32 (docs/decisions/export-as-one-function.md).
FASTEST_FIRST: tuple[EnginePrecision, ...] = ("bf16", "fp32", "fp16")
_MOST_TO_RANK = 400
_BATCHES = 3


@dataclass(frozen=True)
class Verdict:
    """Whether a type keeps the bounds, and the figures in words."""

    kept: bool
    figures: str


def decide(
    path: Path, model: ServedModel, tokenizer: Tokenizer, asked: EnginePrecision | None, accept: bool
) -> ServedModel:
    """The record with what an engine may compute the graph in, the type `asked` for (or the fastest) first.

    Raises ExportError where that one misses its bounds, unless `accept` says to take it all the same.
    """
    verdicts = _judge(path, model, sample.many_rows(tokenizer, model))
    if asked in verdicts and not verdicts[asked].kept and not accept:
        raise ExportError(
            f"{model.name}: {asked} is not exact enough: {verdicts[asked].figures}; nothing was written; "
            "leave --precision out for the fastest that is, or add --accept"
        )
    kept = [each for each in FASTEST_FIRST if each == asked or each not in verdicts or verdicts[each].kept]
    order = sorted(kept, key=lambda each: each != asked)  # a stable sort: only `asked` moves
    refused = {each: verdict.figures for each, verdict in verdicts.items() if each not in order}
    return model.model_copy(update={"precisions": tuple(order), "refused": refused})


def check_amx(
    padded: Path, plain: ServedModel, path: Path, model: ServedModel, tokenizer: Tokenizer, accept: bool
) -> None:
    """Raises ExportError where the graph `path` of `model` misses the bounds of bf16, unless `accept` takes it so.

    It is held against the graph `padded` of `plain`, the same model in fp32.
    """
    rows = sample.many_rows(tokenizer, model)
    expected = _exact(padded, plain, rows)
    verdict = _held_against(expected, _compute(_opened(path, model), model, rows), "bf16")
    if not verdict.kept and not accept:
        raise ExportError(f"{model.name}: bf16 is not exact enough: {verdict.figures}")


def _opened(path: Path, model: ServedModel) -> Any:
    """A session; what ONNX Runtime or the kernel objects to it, as an ExportError."""
    try:
        return engine.open_session(path, model, 0)
    except Exception as error:
        raise ExportError(f"{model.name}: ONNX Runtime does not load it: {str(error).splitlines()[0]}") from error


def explain(model: ServedModel) -> str:
    """In what it will be computed, and why not in what is faster."""
    first = model.precisions[0]
    faster = FASTEST_FIRST[: FASTEST_FIRST.index(first)]
    reasons = [f"{each} is not exact enough: {model.refused[each]}" for each in faster if each in model.refused]
    return "; ".join([f"to be computed in {first}", *reasons])


def _judge(path: Path, model: ServedModel, rows: Rows) -> dict[EnginePrecision, Verdict]:
    expected = _exact(path, model, rows)
    return {precision: _verdict(path, precision, model, rows, expected) for precision in REDUCED}


def _exact(path: Path, model: ServedModel, rows: Rows) -> dict[str, Floats]:
    """In fp32. The session is gone afterwards: a large model is as large in each."""
    return _compute(onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]), model, rows)


def _verdict(
    path: Path, precision: EnginePrecision, model: ServedModel, rows: Rows, expected: dict[str, Floats]
) -> Verdict:
    try:
        session, _ = engine.runner().open_session(path, precision, 0)
    except ValueError as error:
        return Verdict(False, f"not tried here: {error}")
    return _held_against(expected, _compute(session, model, rows), precision)


def _held_against(expected: dict[str, Floats], found: dict[str, Floats], precision: EnginePrecision) -> Verdict:
    misses = [_compare(name, found[name], expected[name], BOUNDS[name][precision]) for name in expected]
    worst = max(misses, key=lambda each: each[0])
    return Verdict(worst[0] <= 1.0, worst[1])


def _compare(name: str, found: Floats, expected: Floats, bound: float) -> tuple[float, str]:
    """How much of what it may an output takes, and the figures."""
    difference, order = _difference(name, found, expected), _order(name, found, expected)
    most, least = OF_BOUND[name] * bound, 1 - OF_LOSS * (1 - SPEARMAN)
    share = max(difference / most, (1 - order) / (1 - least))
    figures = f"{name} off by {difference:.2g} (at most {most:.2g}), Spearman {order:.5f} (at least {least:.5f})"
    return float(np.nan_to_num(share, nan=np.inf)), figures.replace("_", " ")


def _difference(name: str, found: Floats, expected: Floats) -> float:
    """As the bounds have it: of vectors brought to unit length, of logits as they are."""
    scale = np.linalg.norm(expected, axis=1, keepdims=True) if "vectors" in name else np.float32(1.0)
    return float((np.abs(found - expected) / np.maximum(scale, 1e-12)).max())


def _order(name: str, found: Floats, expected: Floats) -> float:
    """Rank correlation of all cosines, of all weights above 0, or of the logits."""
    if "vectors" in name:
        first, second = (_cosines(vectors[:_MOST_TO_RANK]) for vectors in (found, expected))
    else:
        some = (found > 0) | (expected > 0) if name == TOKEN_WEIGHTS else np.ones_like(found, bool)
        first, second = found[some], expected[some]
    return float(spearmanr(first, second).statistic)


def _cosines(vectors: Floats) -> Floats:
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines: Floats = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return cosines


def _compute(session: Any, model: ServedModel, rows: Rows) -> dict[str, Floats]:
    """Every output, rows of like length together; per token [T, ...]."""
    batches = list(_batches(session, model, rows))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _batches(session: Any, model: ServedModel, rows: Rows) -> Iterator[dict[str, Floats]]:
    layout = layout_of(model)
    names = [output.name for output in session.get_outputs()]
    for part in np.array_split(np.argsort(rows.lengths), _BATCHES):
        batch = take(rows, part)
        found = zip(names, session.run(None, layout.batch([batch]).arrays), strict=True)
        yield {n: layout.unpack(value, batch.lengths) if n in TOKEN_OUTPUTS else value for n, value in found}
