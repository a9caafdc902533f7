"""Which model is asked what, and which array of which reference must come out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from siftline.results import Output
from tests.conformance import comparison, kit, recipes
from tests.fakes import language_models

# The instruction of the TART README, with which the kit's references were made.
TART_INSTRUCTION = "retrieve a passage that answers this question from Wikipedia"


QWEN3_INSTRUCTION = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"


@dataclass(frozen=True)
class Model:
    """A folder of the kit and how it is exported."""

    name: str
    task: Literal["embed", "rerank"]
    family: str = ""  # "" where the files must show it
    max_tokens: int | None = None  # where the reference was made with fewer than the model takes
    make: Callable[[Path, Path], Path] | None = None  # for a model that is not in the kit
    tokenizer: str = ""  # the model of the kit whose tokenizer it takes

    def folder(self, scratch: Path) -> Path:
        """The model as its authors would ship it."""
        models = kit.ROOT / "models"
        return self.make(scratch / self.name, models / self.tokenizer) if self.make else models / self.name


@dataclass(frozen=True)
class EmbedCase:
    """`inputs` names a list of the kit; `request` are further fields of the EmbedRequest.

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

    def expected(self, folder: Path, kept: list[int]) -> NDArray[np.float32]:
        """Vectors of the texts at `kept`: [n, d], sparse ones [n, vocabulary], multi-vectors [tokens of all, d]."""
        if self.recipe is None:
            return kit.reference(self.reference)[self.array][kept]
        texts = self.texts()
        computed: NDArray[np.float32] = getattr(recipes, self.reference)(folder, [texts[i] for i in kept], self.recipe)
        return computed

    def texts(self) -> list[str]:
        found = kit.inputs()[self.inputs]
        return [text for _, text in found] if self.inputs == "instructor" else list(found)

    def prompts(self) -> list[str]:
        """One per text, where each has its own."""
        return [prompt for prompt, _ in kit.inputs()["instructor"]] if self.inputs == "instructor" else []


@dataclass(frozen=True)
class PairCase:
    """Single pairs, cut to one row. `kind` of the reference's numbers: logit, probability, two logits, recipe."""

    model: str
    reference: str
    array: str
    kind: str = "logit"
    query: str = "{}"

    @property
    def terms(self) -> int:
        """Of how many of the model's own outputs a score is the sum or difference."""
        return 2 if self.kind == "two logits" or self.reference == "qwen3_reranker" else 1

    def expected(self, folder: Path) -> NDArray[np.float32]:
        """The logits of all pairs. A recipe computes them from the model in `folder`."""
        if self.kind == "recipe":
            computed: NDArray[np.float32] = getattr(recipes, self.reference)(folder, self.pairs())
            return computed
        found = kit.reference(self.reference)[self.array]
        if self.kind == "two logits":  # a softmax over two labels is a sigmoid of their difference
            return found[:, 1] - found[:, 0]
        return comparison.logit(found) if self.kind == "probability" else found

    def __str__(self) -> str:
        return f"{self.reference}-{self.array}"

    def pairs(self) -> list[tuple[str, str]]:
        return [(self.query.format(query) if query else "", passage) for query, passage in kit.inputs()["pairs"]]


MODELS = {
    model.name: model
    for model in (
        Model("bce-embedding", "embed"),
        Model("bge-embed", "embed"),
        Model("llm-embedder", "embed", "llm-embedder"),
        Model("instructor", "embed", "instructor"),
        Model("tart-dual", "embed", "tart-dual"),
        Model("e5-mistral", "embed", "e5-mistral", max_tokens=512),
        Model("gte-base", "embed"),
        Model("gte-modernbert", "embed"),
        Model("sbert-minilm", "embed"),
        Model("sbert-mpnet", "embed"),
        Model("tiny-e5", "embed", "e5", None, lambda _, folder: folder, "gte-base"),
        Model("tiny-qwen3-embedding", "embed", "", 512, language_models.make_qwen3_embedder, "gte-modernbert"),
        Model("tiny-bge-m3", "embed", "", None, language_models.make_bge_m3, "bce-embedding"),
        Model("bce-reranker", "rerank", "bce-reranker"),
        Model("bge-reranker", "rerank", "bge-reranker"),
        Model("st-cross-encoder", "rerank"),
        Model("luyug-bert-reranker", "rerank"),
        Model("luyug-electra-reranker", "rerank"),
        Model("gte-reranker-modernbert", "rerank", max_tokens=512),
        Model("tart-full", "rerank"),
        Model("tiny-gemma", "rerank", "flag-llm-reranker", None, language_models.make_gemma, "e5-mistral"),
        Model("tiny-qwen3", "rerank", "qwen3-reranker", 2048, language_models.make_qwen3, "gte-modernbert"),
    )
}
QUERY = {"side": "SIDE_QUERY"}
EMBED_CASES = (
    EmbedCase("bce-embedding", "bce-embedding.bce", "texts", "texts"),
    EmbedCase("bge-embed", "bge-embed.flag4", "texts", "texts"),
    EmbedCase("bge-embed", "bge-embed.flag4", "queries", "queries", QUERY),
    *(
        EmbedCase("llm-embedder", "llm-embedder.llmemb", f"{side}_{task}", texts, {"prompt_name": f"{task}_{prompt}"})
        for task in ("qa", "convsearch", "chat", "lrlm", "icl", "tool")
        for side, prompt, texts in (("queries", "query", "queries"), ("keys", "key", "passages"))
    ),
    EmbedCase("instructor", "instructor.instr", "pairs", "instructor"),
    EmbedCase("tart-dual", "tart-dual.hf", "texts", "texts"),
    EmbedCase("tart-dual", "tart-dual.hf", "queries", "queries", {"prompt_text": f"{TART_INSTRUCTION} [SEP] "}),
    EmbedCase("e5-mistral", "e5-mistral.flag4", "texts512", "texts"),
    EmbedCase("e5-mistral", "e5-mistral.flag4", "queries", "queries", QUERY),
    EmbedCase("gte-base", "gte-base.st", "texts", "texts"),
    EmbedCase("gte-modernbert", "gte-modernbert.st", "texts", "texts"),
    EmbedCase("sbert-minilm", "sbert-minilm.st", "texts", "texts"),
    EmbedCase("sbert-mpnet", "sbert-mpnet.st", "texts", "texts"),
    EmbedCase("tiny-e5", "e5", "queries", "queries", QUERY, "query: "),
    EmbedCase("tiny-e5", "e5", "passages", "texts", {}, "passage: "),
    EmbedCase("tiny-qwen3-embedding", "qwen3_embedding", "queries", "queries", QUERY, QWEN3_INSTRUCTION),
    EmbedCase("tiny-qwen3-embedding", "qwen3_embedding", "texts", "texts", {}, ""),
    EmbedCase("tiny-bge-m3", "bge_m3", "dense", "texts", {}, "dense"),
    EmbedCase("tiny-bge-m3", "bge_m3", "sparse", "texts", {}, "sparse", "sparse"),
    EmbedCase("tiny-bge-m3", "bge_m3", "multi-vectors", "texts", {}, "multi_vector", "multi_vector"),
)
PAIR_CASES = (
    PairCase("bce-reranker", "bce-reranker.bce", "pairs", "probability"),
    PairCase("bce-reranker", "bce-reranker.st", "pairs_logit"),
    PairCase("bge-reranker", "bge-reranker.flag4", "pairs"),
    PairCase("st-cross-encoder", "st-cross-encoder.st", "pairs_logit"),
    PairCase("luyug-bert-reranker", "luyug-bert-reranker.hf", "pairs_logit"),
    PairCase("luyug-electra-reranker", "luyug-electra-reranker.hf", "pairs_logit"),
    PairCase("gte-reranker-modernbert", "gte-reranker-modernbert.st", "pairs_logit"),
    PairCase("tart-full", "tart-full.hf", "pairs_logits", "two logits", TART_INSTRUCTION + " [SEP] {}"),
    PairCase("tiny-gemma", "flag_llm_reranker", "pairs", "recipe"),
    PairCase("tiny-qwen3", "qwen3_reranker", "pairs", "recipe"),
)
