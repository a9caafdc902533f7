"""The graph in the layout and precision that are wished for: written, and kept only if it equals the torch original."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from export import example, onnx_file, packed_graph, verification
from export.graph import Graph
from serving.served_model import Layout, Precision, ServedModel

Report = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """Packed, a `precision` of None is fp16 if that is exact enough, else fp32. Padded graphs are fp32."""

    layout: Layout = "padded"
    precision: Precision | None = None


PADDED = Wish()


@dataclass(frozen=True)
class GraphWriter:
    """Writes `graph` to the folder `version` of a repository."""

    graph: Graph
    tokenizer: Tokenizer
    version: Path
    report: Report

    def write(self, record: ServedModel, wish: Wish) -> ServedModel:
        """The record with what depends on the wish. Raises ExportError for a graph that is not, or can't be, as it."""
        return self._packed(record, wish.precision) if wish.layout == "packed" else self._padded(record)

    def _padded(self, record: ServedModel) -> ServedModel:
        return self._verified(onnx_file.write(self.graph, self.version, example.padded(self.graph)), record)

    def _packed(self, record: ServedModel, precision: Precision | None) -> ServedModel:
        *first, last = (precision,) if precision else ("fp16", "fp32")
        for each in first:
            try:
                return self._packed_in(each, record)
            except verification.Differs as error:
                self.report(f"{record.name}: {each} is not exact enough: {error}")
        return self._packed_in(last, record)

    def _packed_in(self, precision: Precision, record: ServedModel) -> ServedModel:
        packed = packed_graph.pack(self.graph, record.name, precision)
        facts = {"layout": "packed", "precision": precision, "inputs": packed.inputs}
        path = onnx_file.write(packed, self.version, example.packed(packed))
        return self._verified(path, record.model_copy(update=facts))

    def _verified(self, path: Path, record: ServedModel) -> ServedModel:
        self.report(f"{record.name}: {verification.verify(self.graph, path, record, self.tokenizer)}")
        return record
