"""Which pairs a cross-encoder is asked, and which array of which reference must come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from siftline.rerank.v1 import rerank_pb2
from tests.conformance import comparison, kit, recipes
from tests.conformance.comparison import Compared


@dataclass(frozen=True)
class PairCase:
    """Single pairs, cut to one row; those with an empty query are left out.

    `kind` of the reference's numbers: logit, probability, two logits, recipe. `query` is a template.
    """

    model: str
    reference: str
    array: str
    kind: str = "logit"
    query: str = "{}"

    def __str__(self) -> str:
        return f"{self.reference}-{self.array}"

    def requests(self) -> list[rerank_pb2.RerankRequest]:
        """One for each pair."""
        truncate = rerank_pb2.LONG_PASSAGE_TRUNCATE
        return [
            rerank_pb2.RerankRequest(query=query, passages=[passage], long_passage=truncate)
            for query, passage in self._pairs()
            if query
        ]

    def read(self, replies: Sequence[rerank_pb2.RerankResponse], width: int = 1) -> NDArray[np.float32]:
        """Logits [n]."""
        return np.array([reply.results[0].logit for reply in replies], np.float32)

    def expected(self, folder: Path) -> NDArray[np.float32]:
        """The same of the reference. A recipe computes it from the model in `folder`."""
        kept = [index for index, (query, _) in enumerate(self._pairs()) if query]
        if self.kind == "recipe":
            computed: NDArray[np.float32] = getattr(recipes, self.reference)(folder, self._pairs())
            return computed[kept]
        found = kit.reference(self.reference)[self.array][kept]
        if self.kind == "two logits":  # a softmax over two labels is a sigmoid of their difference
            return found[:, 1] - found[:, 0]
        return comparison.logit(found) if self.kind == "probability" else found

    def compare(self, ours: NDArray[np.float32], reference: NDArray[np.float32], precision: str) -> Compared:
        return comparison.logits(ours, reference, precision)

    def _pairs(self) -> list[tuple[str, str]]:
        return [(self.query.format(query) if query else "", passage) for query, passage in kit.inputs()["pairs"]]
