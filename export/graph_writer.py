"""The graph in the layout and precision that are wished for: written, and kept only if it equals the torch original."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from export import example, onnx_file, packed_graph, precisions, verification
from export.errors import ExportError
from export.graph import Graph
from serving.served_model import Backend, Engine, EnginePrecision, Layout, Precision, ServedModel

Report = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """`precision` is what the model is to be computed in; None for the fastest that is exact enough.

    A packed graph is fp16 or fp32 itself. A padded one is fp32, and its engine computes in what the record allows;
    `accept` allows `precision` whatever it costs. ExportError for what does not go together.
    """

    layout: Layout = "padded"
    precision: EnginePrecision | None = None
    accept: bool = False
    engine: Engine = "onnxruntime"
    backend: Backend = "python"

    def __post_init__(self) -> None:
        if self.engine == "tensorrt" and self.layout == "packed":
            raise ExportError("--engine tensorrt takes padded graphs: it has no PackedMultiHeadAttention")
        if self.backend == "tensorrt" and self.engine != "tensorrt":
            raise ExportError("--backend tensorrt needs --engine tensorrt")

    @property
    def suffix(self) -> str:
        """What tells a model of this wish from the plain one."""
        return "-packed" if self.layout == "packed" else "-tensorrt" if self.engine == "tensorrt" else ""


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
        record = record.model_copy(update={"engine": wish.engine, "backend": wish.backend})
        if wish.layout == "padded":
            return self._padded(record, wish)
        if wish.precision == "bf16" or wish.accept:
            raise ExportError("a packed graph is fp16 or fp32, and kept only if it is exact: no bf16, no --accept")
        return self._packed(record, wish.precision)

    def _padded(self, record: ServedModel, wish: Wish) -> ServedModel:
        path = onnx_file.write(self.graph, self.version, example.padded(self.graph))
        verified = self._verified(path, record)
        decided = precisions.decide(path, verified, self.tokenizer, wish.precision, wish.accept)
        self.report(f"{record.name}: {precisions.explain(decided)}")
        return decided

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
        own = {"precision": precision, "precisions": tuple(dict.fromkeys((precision, "fp32")))}
        facts = {"layout": "packed", "inputs": packed.inputs, **own}
        path = onnx_file.write(packed, self.version, example.packed(packed))
        return self._verified(path, record.model_copy(update=facts))

    def _verified(self, path: Path, record: ServedModel) -> ServedModel:
        self.report(f"{record.name}: {verification.verify(self.graph, path, record, self.tokenizer)}")
        return record
