"""What an embedder is asked, and which array of which reference must come out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siftline import reading
from siftline.embed.v1 import embed_pb2
from siftline.results import Output
from tests.conformance import comparison, kit, recipes
from tests.conformance.comparison import Compared


@dataclass(frozen=True)
class EmbedCase:
    """`inputs` names a list of the kit, of which empty texts are left out; `request` are further fields.

    With `recipe`, the reference is computed by the function of that name in recipes.py, with that argument (a prompt).
    """

    model: str
    reference: str
    array: str
    inputs: str
    request: dict[str, Any] = field(default_factory=dict)
    recipe: str | None = None
    output: Output = "dense"

    def __str__(self) -> str:
        return f"{self.reference}-{self.array}"

    def requests(self, *, alone: bool = False) -> list[embed_pb2.EmbedRequest]:
        """One for all texts, or one for each."""
        fields = {"outputs": [f"OUTPUT_{self.output.upper()}"], **self.request}
        kept, texts, prompts = self._kept(), self._texts(), self._prompts()
        groups = [[index] for index in kept] if alone else [kept]
        return [
            embed_pb2.EmbedRequest(
                texts=[texts[i] for i in group], prompt_texts=[prompts[i] for i in group if prompts], **fields
            )
            for group in groups
        ]

    def read(self, replies: Sequence[embed_pb2.EmbedResponse], width: int) -> NDArray[np.float32]:
        """[n, d]; sparse vectors as [n, width], multi-vectors as [tokens of all, d]."""
        found = [reading.embeddings(reply, "float32") for reply in replies]
        match self.output:
            case "dense":
                return np.concatenate([each.vectors for each in found])
            case "multi_vector":
                return np.concatenate([vectors for each in found for vectors in each.multi_vectors])
            case "sparse":
                vectors = [vector for each in found for vector in each.sparse]
                rows = np.zeros((len(vectors), width), np.float32)
                for row, vector in zip(rows, vectors, strict=True):
                    row[vector.ids] = vector.weights
                return rows

    def expected(self, folder: Path) -> NDArray[np.float32]:
        """The same of the reference. A recipe computes it from the model in `folder`."""
        if self.recipe is None:
            return kit.reference(self.reference)[self.array][self._kept()]
        texts = [self._texts()[i] for i in self._kept()]
        computed: NDArray[np.float32] = getattr(recipes, self.reference)(folder, texts, self.recipe)
        return computed

    def compare(self, ours: NDArray[np.float32], reference: NDArray[np.float32], precision: str) -> Compared:
        compare = comparison.weights if self.output == "sparse" else comparison.vectors
        return compare(ours, reference, precision)

    def _texts(self) -> list[str]:
        found = kit.inputs()[self.inputs]
        return [text for _, text in found] if self.inputs == "instructor" else list(found)

    def _prompts(self) -> list[str]:
        """One per text, where each has its own."""
        return [prompt for prompt, _ in kit.inputs()["instructor"]] if self.inputs == "instructor" else []

    def _kept(self) -> list[int]:
        return [index for index, text in enumerate(self._texts()) if text]
