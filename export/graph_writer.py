"""The graph in the layout and precision that are wished for: written, and kept only if it equals the torch original."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import Tokenizer

from export import example, onnx_file, packed_graph, precisions, verification
from export.amx import library
from export.errors import ExportError
from export.graph import Graph
from serving.served_model import Backend, Engine, EnginePrecision, Layout, Precision, ServedModel

Report = Callable[[str], None]
ONLY_BF16 = "AMX computes in bf16; --engine onnxruntime has it"


@dataclass(frozen=True)
class Wish:
    """`precision` is what the model is to be computed in; None for the fastest that is exact enough.

    A packed graph for a GPU is fp16 or fp32 itself, one for AMX bf16. A padded one is fp32, and its engine computes in
    what the record allows; `accept` allows `precision` whatever it costs. `engine` None is AMX where this CPU and the
    model are for it, and else ONNX Runtime's own. ExportError for what does not go together, or not on this CPU.
    """

    layout: Layout = "padded"
    precision: EnginePrecision | None = None
    accept: bool = False
    engine: Engine | None = "onnxruntime"
    backend: Backend = "python"

    def __post_init__(self) -> None:
        if self.engine == "amx" and not self._may_be_amx:
            raise ExportError("--engine amx computes in bf16 and has a layout of its own, in the python backend")
        if self.engine == "amx" and (reason := library.refusal()):
            raise ExportError(f"--engine amx: {reason}; --engine onnxruntime is for any")
        if self.engine == "tensorrt" and self.layout == "packed":
            raise ExportError("--engine tensorrt takes padded graphs: it has no PackedMultiHeadAttention")
        if self.backend == "tensorrt" and self.engine != "tensorrt":
            raise ExportError("--backend tensorrt needs --engine tensorrt")

    @property
    def tries_amx(self) -> bool:
        return self.engine == "amx" or (self.engine is None and self._may_be_amx and not library.refusal())

    @property
    def _may_be_amx(self) -> bool:
        return self.layout == "padded" and self.precision in (None, "bf16") and self.backend == "python"

    @property
    def suffix(self) -> str:
        """What tells a model of this wish from the plain one."""
        return "-packed" if self.layout == "packed" else "-tensorrt" if self.engine == "tensorrt" else ""


PADDED = Wish()
FASTEST = Wish(engine=None)


@dataclass(frozen=True)
class GraphWriter:
    """Writes `graph` to the folder `version` of a repository."""

    graph: Graph
    tokenizer: Tokenizer
    version: Path
    report: Report

    def write(self, record: ServedModel, wish: Wish) -> ServedModel:
        """The record with what depends on the wish. Raises ExportError for a graph that is not, or can't be, as it."""
        record = record.model_copy(update={"engine": wish.engine or "onnxruntime", "backend": wish.backend})
        if wish.tries_amx:
            return self._amx(record, wish)
        if wish.layout == "padded":
            return self._padded(record, wish)
        if wish.precision == "bf16" or wish.accept:
            raise ExportError("a packed graph is fp16 or fp32, and kept only if it is exact: no bf16, no --accept")
        return self._packed(record, wish.precision)

    def _padded(self, record: ServedModel, wish: Wish) -> ServedModel:
        path = onnx_file.write(self.graph, self.version, example.padded(self.graph))
        return self._decided(path, self._verified(path, record), wish)

    def _decided(self, path: Path, verified: ServedModel, wish: Wish) -> ServedModel:
        decided = precisions.decide(path, verified, self.tokenizer, wish.precision, wish.accept)
        self.report(f"{decided.name}: {precisions.explain(decided)}")
        return decided

    def _amx(self, record: ServedModel, wish: Wish) -> ServedModel:
        """The padded graph is what its numbers are compared with, and what is left where they miss their bounds."""
        plain = record.model_copy(update={"engine": "onnxruntime"})
        path = onnx_file.write(self.graph, self.version, example.padded(self.graph))
        self._verified(path, plain)
        try:
            found = self._amx_beside(path, plain, wish.accept)
        except ExportError as error:
            if wish.engine == "amx":
                raise
            self.report(f"{record.name}: not for AMX: {str(error).removeprefix(f'{record.name}: ')}")
            return self._decided(path, plain, wish)
        self.report(f"{record.name}: to be computed in bf16 with AMX")
        return found

    def _amx_beside(self, padded: Path, plain: ServedModel, accept: bool) -> ServedModel:
        """The graph for AMX in the place of the padded one, once its numbers were found to be near enough."""
        packed = packed_graph.pack_for_amx(self.graph, plain.name)
        facts = {"layout": "packed", "inputs": packed.inputs, "engine": "amx", "precisions": ("bf16",)}
        record = plain.model_copy(update={**facts, "refused": dict.fromkeys(("fp32", "fp16"), ONLY_BF16)})
        with TemporaryDirectory(dir=self.version) as scratch:
            path = onnx_file.write(packed, Path(scratch), example.packed(packed))
            library.write(path.parent)
            precisions.check_amx(padded, plain, path, record, self.tokenizer, accept)
            for stale in self.version.glob("model.onnx*"):
                stale.unlink()
            for file in path.parent.glob("model.onnx*"):
                file.rename(self.version / file.name)
        return record

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
