"""What every search of an evaluation found, as JSON lines: to look into, and to order anew without searching anew."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from siftline.evaluation.files import BadDataset, records
from siftline.evaluation.methods import Candidate, scored
from siftline.results import Model, Recall

Found = Mapping[str, Sequence[Candidate]]
Groups = dict[tuple[str, int], dict[str, tuple[Candidate, ...]]]


def begin(file: IO[str], models: Mapping[str, Model]) -> None:
    """The first line: whose scores the others have."""
    file.write(json.dumps({"models": _fingerprints(models)}) + "\n")


def write(file: IO[str], recall: Recall, size: int, found: Found) -> None:
    """A line for each query; `size` is the number of passages searched."""
    for query, candidates in found.items():
        rows = [(each.id, each.logit, each.cosine) for each in candidates]
        file.write(json.dumps({"query": query, "recall": recall, "passages": size, "candidates": rows}) + "\n")


def read(file: Path, models: Mapping[str, Model], recall_weight: float) -> Groups:
    """By first stage and size, then by query; scored for the order with this weight.

    Raises BadDataset, also for a trace of other models than these.
    """
    found: Groups = {}
    lines = records(file)
    place, head = next(lines, (f"{file}:1", {}))
    if (found_models := head.get("models")) != (served := _fingerprints(models)):
        raise BadDataset(f"{place}: a trace of the models {served} is needed, found {found_models}")
    for place, record in lines:
        try:
            group = found.setdefault((record["recall"], record["passages"]), {})
            group[record["query"]] = tuple(
                scored(Candidate(identity, rank, 0.0, cosine=cosine), logit, recall_weight)
                for rank, (identity, logit, cosine) in enumerate(record["candidates"], 1)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadDataset(f"{place}: not a line of a trace: {error!r}") from error
    return found


def _fingerprints(models: Mapping[str, Model]) -> dict[str, str]:
    return {stage: model.fingerprint for stage, model in models.items()}
