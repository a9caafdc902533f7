"""Whether a quantised embedder still finds what the original finds: nDCG@10 on judged sets, exact search.

A model that loses more than MOST_LOST on any set is not written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from sklearn.metrics import ndcg_score
from tokenizers import Tokenizer

from export.errors import ExportError
from serving.batching.rows import Rows
from serving.layouts import layout_of
from serving.served_model import ServedModel
from siftline.evaluation.dataset import Dataset, read

MOST_LOST = 0.01
DEPTH = 10
QUERIES = 300
SEED = 7
_BATCH = 16


@dataclass(frozen=True)
class Judged:
    """nDCG@10 of both graphs on one set."""

    dataset: str
    original: float
    quantised: float

    @property
    def lost(self) -> float:
        """Share of the original's nDCG@10 that is gone; negative for a gain."""
        return 1.0 - self.quantised / self.original

    def __str__(self) -> str:
        return f"{self.dataset}: nDCG@10 {self.original:.4f}, in int8 {self.quantised:.4f} ({-self.lost:+.2%})"


class Texts:
    """Texts as batches that a model's graph takes."""

    def __init__(self, model: ServedModel, tokenizer: Tokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(model.max_tokens)
        self._layout = layout_of(model)

    def batches(self, texts: Sequence[str], size: int = _BATCH) -> list[dict[str, NDArray[np.int32]]]:
        """In order; each padded to its longest."""
        return [self._batch(texts[begin : begin + size]) for begin in range(0, len(texts), size)]

    def embed(self, graph: Path, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [n, d]; texts of like length go together, results come back in order."""
        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        order = np.argsort([len(text) for text in texts])
        computed = [session.run(None, feed)[0] for feed in self.batches([texts[i] for i in order])]
        vectors: NDArray[np.float32] = np.concatenate(computed)[np.argsort(order)]
        return vectors

    def _batch(self, texts: Sequence[str]) -> dict[str, NDArray[np.int32]]:
        ids = [np.array(encoding.ids, np.int32) for encoding in self._tokenizer.encode_batch(list(texts))]
        rows = Rows(np.concatenate(ids), np.array([len(row) for row in ids], np.int32))
        return self._layout.batch([rows]).arrays


def judge(texts: Texts, original: Path, quantised: Path, folders: Sequence[Path]) -> list[Judged]:
    """Both graphs on every set; ExportError with all figures when one loses more than MOST_LOST."""
    found = []
    for folder in folders:
        dataset = read(folder).sample(QUERIES, SEED)
        found.append(Judged(dataset.name, *(_ndcg(texts, graph, dataset) for graph in (original, quantised))))
    if any(result.lost > MOST_LOST for result in found):
        figures = "; ".join(map(str, found))
        raise ExportError(f"int8 loses more than {MOST_LOST:.0%}: {figures}; nothing was written")
    return found


def _ndcg(texts: Texts, graph: Path, dataset: Dataset) -> float:
    documents = list(dataset.documents)
    passages = texts.embed(graph, [dataset.documents[i].text for i in documents])
    queries = texts.embed(graph, list(dataset.queries.values()))
    column = {document: number for number, document in enumerate(documents)}
    relevance = np.zeros((len(queries), len(documents)), np.float32)
    for row, query in enumerate(dataset.queries):
        for document, grade in dataset.relevant[query].items():
            relevance[row, column[document]] = grade
    return float(ndcg_score(relevance, queries @ passages.T, k=DEPTH))
