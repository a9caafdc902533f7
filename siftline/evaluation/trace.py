"""What every search of an evaluation found, as JSON lines: to look into, and to order anew without searching anew."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from siftline.evaluation.files import BadDataset, records
from siftline.evaluation.methods import Candidate
from siftline.results import Recall

Found = Mapping[str, Sequence[Candidate]]


def write(file: IO[str], recall: Recall, size: int, found: Found) -> None:
    """A line for each query; `size` is the number of passages searched."""
    for query, candidates in found.items():
        rows = [(each.id, each.logit, each.cosine) for each in candidates]
        file.write(json.dumps({"query": query, "recall": recall, "passages": size, "candidates": rows}) + "\n")


def read(file: Path, recall_weight: float) -> dict[tuple[str, int], dict[str, tuple[Candidate, ...]]]:
    """By first stage and size, then by query; scores are logit + recall_weight * cosine. Raises BadDataset."""
    found: dict[tuple[str, int], dict[str, tuple[Candidate, ...]]] = {}
    for place, record in records(file):
        try:
            group = found.setdefault((record["recall"], record["passages"]), {})
            group[record["query"]] = tuple(
                Candidate(identity, rank, (logit or 0.0) + recall_weight * (cosine or 0.0), logit, cosine)
                for rank, (identity, logit, cosine) in enumerate(record["candidates"], 1)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadDataset(f"{place}: not a line of a trace: {error!r}") from error
    return found
