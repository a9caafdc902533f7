"""All models, and what each of them is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.conformance import kit
from tests.conformance.embed_case import EmbedCase
from tests.conformance.pair_case import PairCase
from tests.fakes import language_models

# The instruction of the TART README, with which the kit's references were made.
TART_INSTRUCTION = "retrieve a passage that answers this question from Wikipedia"


LLM_EMBEDDER_QA_QUERY = "Represent this query for retrieving relevant documents: "
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
# What the packed layouts are for, CUDA's and AMX's: encoders of BERT's kind.
PACKED = (
    "bce-embedding",
    "bge-embed",
    "llm-embedder",
    "tart-dual",
    "gte-base",
    "sbert-minilm",
    "tiny-e5",
    "tiny-bge-m3",
    "bce-reranker",
    "bge-reranker",
    "st-cross-encoder",
    "luyug-bert-reranker",
    "luyug-electra-reranker",
)
# What an export may refuse, as its figures are near the bounds, which these sharp models make hard to keep. Of all else
# a refusal is a mistake.
REFUSABLE = {
    *((model.name, "bf16") for model in MODELS.values() if model.task == "rerank"),
    *((name, "bf16") for name in ("e5-mistral", "gte-modernbert", "tiny-qwen3-embedding", "tiny-bge-m3")),
    *((name, "fp16") for name in ("e5-mistral", "gte-modernbert", "tiny-qwen3-embedding", "tiny-bge-m3")),
    *((name, "fp16") for name in ("gte-reranker-modernbert", "luyug-electra-reranker", "tart-full", "tiny-qwen3")),
    ("st-cross-encoder", "fp16"),
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
    EmbedCase(
        "llm-embedder", "llm_embedder", "long queries", "texts", {"prompt_name": "qa_query"}, LLM_EMBEDDER_QA_QUERY
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
