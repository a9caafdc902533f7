"""What the clients have to find: texts, and what our own client made of them. Nothing of ours is imported here."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

E = TypeVar("E", bound=Exception)


@dataclass(frozen=True)
class Truth:
    """`vectors` of `texts`; `scores` and `logits` of `passages`, in order.

    `http` and `grpc` want the `key`, `without_key` takes those who cannot send it. `vocabulary` is tiktoken's file.
    """

    http: str
    grpc: str
    without_key: str
    key: str
    texts: list[str]
    vectors: list[list[float]]
    query: str
    passages: list[str]
    scores: list[float]
    logits: list[float]
    vocabulary: str

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> "Truth":
        return cls(**json.loads(file.read_text()))

    @property
    def ranking(self) -> list[int]:
        """Places of the passages, best first."""
        return sorted(range(len(self.scores)), key=lambda place: -self.scores[place])

    def check_vectors(self, found: Sequence[Sequence[float]]) -> None:
        assert len(found) == len(self.vectors), (len(found), len(self.vectors))
        for one, expected in zip(found, self.vectors, strict=True):
            assert len(one) == len(expected), (len(one), len(expected))
            assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(one, expected, strict=True))

    def check_scores(self, found: Sequence[tuple[int, float]], *, logits: bool = False) -> None:
        """`found` is (place, score), best first."""
        wanted = self.logits if logits else self.scores
        assert [place for place, _ in found] == self.ranking[: len(found)], found
        assert all(math.isclose(score, wanted[place], abs_tol=1e-6) for place, score in found), (found, wanted)


def refused(kind: type[E], call: Callable[..., Any], **arguments: Any) -> E:
    """The client's exception."""
    try:
        call(**arguments)
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")
