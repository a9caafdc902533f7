"""The record that an export leaves beside a model and that a service serves by.

An exported model is a folder:

    NAME/
      model.json                 this record
      tokenizer.json             for the Rust tokenizer, complete (added tokens registered)
      repository/NAME/           a Triton model repository of one model
        config.pbtxt
        1/model.py  1/model.onnx (+ external data)
"""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MODEL_FILE = "model.json"
TOKENIZER_FILE = "tokenizer.json"


# How a pair that is too long for one row is cut: tokens off the longer of the two (transformers' longest_first), or
# the query at its own limit and then the passage only (FlagEmbedding).
Truncation = Literal["longest_first", "passage"]
# What a graph takes: matrices [B, L], or the tokens of all rows one after the other (CUDA, or AMX).
Layout = Literal["padded", "packed"]
Precision = Literal["fp32", "fp16"]
# What an engine on a CPU computes in, whatever the graph's weights are.
EnginePrecision = Literal["bf16", "fp16", "fp32"]
# What computes: what ONNX Runtime has for the processor, on a GPU TensorRT's kernels (padded only), or on a CPU with
# AMX ours (export/amx; packed only). Which of Triton's backends runs it: our runner in the python backend, or one that
# a larger Triton has and that pytriton's wheel has not.
Engine = Literal["onnxruntime", "tensorrt", "amx"]
Backend = Literal["python", "onnxruntime", "tensorrt"]


# What `precision` says of these goes into a fingerprint, no more.
_NOT_IN_VECTORS = {"source", "licence", "built_from", "precisions", "refused", "engine", "backend"}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PairLayout(_Record):
    """How a cross-encoder's row is put together: prefix + query + middle + passage + suffix (token ids)."""

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    segment_ids: bool = Field(description="token_type_ids are 1 from the passage on (BERT), else all 0")
    max_query_tokens: int = Field(description="queries longer than this (specials not counted) are cut")
    max_passage_tokens: int = Field(0, description="of a window, at most; 0 for what fits beside the query")
    truncation: Truncation = Field("passage", description="rule for a pair that is to be cut to one row")
    query_text: str = Field("{}", description="what is tokenised for a query, which takes the place of {}")
    passage_text: str = Field("{}", description="the same for a passage")

    @property
    def specials(self) -> int:
        return len(self.prefix) + len(self.middle) + len(self.suffix)


class ServedModel(_Record):
    """Facts of one exported model."""

    name: str
    task: Literal["embed", "rerank"]
    family: str
    source: str
    licence: str
    digest: str = Field(description="sha256 over the graph, its weights, the library that it needs and tokenizer.json")
    built_from: str = Field("", description="sha256 over what the export depended on, to tell a stale one")
    max_tokens: int = Field(description="per row, special tokens included")
    pad_token_id: int
    position_offset: int = Field(default=0, description="position id of a row's first token (XLM-R: pad + 1)")
    inputs: tuple[str, ...] = Field(description="int32 graph inputs in graph order")
    layout: Layout = Field("padded", description="of the graph's inputs")
    precision: Precision = Field("fp32", description="of the graph's own weights; a GPU computes in it")
    precisions: tuple[EnginePrecision, ...] = Field(
        ("bf16", "fp32"), description="what an engine may compute in: the first that its CPU has"
    )
    refused: dict[EnginePrecision, str] = Field({}, description="what it may not, and why: export/precisions.py")
    engine: Engine = Field("onnxruntime", description="what computes")
    backend: Backend = Field("python", description="of Triton")
    quantization: Literal["", "int8"] = Field("", description="of the graph itself, whatever the engine computes in")
    # embed
    dimensions: int = 0
    pooling: str = ""
    normalized: bool = False
    pools_prompt: bool = Field(True, description="False: a prompt's tokens are attended to, not pooled (INSTRUCTOR)")
    prompts: dict[str, str] = {}
    default_query_prompt: str = ""
    default_document_prompt: str = ""
    prompt_max_tokens: dict[str, int] = Field({}, description="of texts with that prompt, where fewer than max_tokens")
    token_outputs: tuple[str, ...] = Field((), description="outputs per token, a subset of TOKEN_OUTPUTS")
    token_dimensions: int = Field(0, description="of token_vectors")
    weightless_ids: tuple[int, ...] = Field((), description="token ids that have no weight: special ones")
    # rerank
    pair: PairLayout | None = None

    @property
    def for_gpu(self) -> bool:
        return self.engine == "tensorrt" or (self.layout == "packed" and self.engine != "amx")

    @property
    def tensorrt_precision(self) -> str:
        """What Triton's own backends are told to have TensorRT compute in: fp16 where the export allows it."""
        return "fp16" if "fp16" in self.precisions else "fp32"

    def fingerprint(self, precision: str) -> str:
        """32 hex digits that change with anything that changes a vector or a score."""
        # Defaults left out: a fact that models did not have before must not part them from their vectors.
        facts = self.model_dump_json(exclude=_NOT_IN_VECTORS, exclude_defaults=True)
        return hashlib.sha256(f"{precision}\n{facts}".encode()).hexdigest()[:32]


# Names of the graph's outputs per token: weights float32 [B, L] and unit vectors float32 [B, L, d]; packed [T], [T, d].
TOKEN_WEIGHTS, TOKEN_VECTORS = TOKEN_OUTPUTS = ("token_weights", "token_vectors")


def load(folder: Path) -> ServedModel:
    return ServedModel.model_validate_json((folder / MODEL_FILE).read_text())
