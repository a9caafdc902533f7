"""Reference implementations for families that the kit does not hold, after their model cards, in plain transformers.

Slow and simple on purpose, and sharing nothing with the exporter: one pair at a time, no padding, no cache.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

Pair = tuple[str, str]
Ids = Callable[[str], list[int]]


def flag_llm_reranker(folder: Path, pairs: Sequence[Pair]) -> NDArray[np.float32]:
    """FlagEmbedding 1.4.2, inference/reranker/decoder_only/base.py, with its default prompt and max_length 512."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encode: Ids = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    question = (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing "
        "a prediction of either 'Yes' or 'No'."
    )
    newline, prompt, yes = encode("\n"), encode(question), encode("Yes")[0]
    longest = 512 + len(newline) + len(prompt)
    rows = []
    for query, passage in pairs:
        front = [tokenizer.bos_token_id, *encode(f"A: {query}")[: 512 * 3 // 4]]
        back = newline + encode(f"B: {passage}")[:512]
        rows.append([*front, *back[: longest - len(front)], *newline, *prompt])
    return np.array([logits[yes] for logits in _last_logits(folder, rows)], np.float32)


def qwen3_reranker(folder: Path, pairs: Sequence[Pair]) -> NDArray[np.float32]:
    """The transformers example of the Qwen3-Reranker model card, for rows of up to 2048 tokens; logit of P(yes)."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encode: Ids = lambda text: tokenizer.encode(text, add_special_tokens=False).ids  # noqa: E731
    prefix = encode(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    )
    suffix = encode("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    task = "Given a web search query, retrieve relevant passages that answer the query"
    rows = []
    for query, passage in pairs:
        ids = encode(f"<Instruct>: {task}\n<Query>: {query}\n<Document>: {passage}")
        rows.append([*prefix, *ids[: 2048 - len(prefix) - len(suffix)], *suffix])
    yes, no = encode("yes")[0], encode("no")[0]
    return np.array([logits[yes] - logits[no] for logits in _last_logits(folder, rows)], np.float32)


def e5(folder: Path, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
    """The transformers example of the E5 model cards: mean of the tokens, normalised."""
    return _embed(folder, texts, prompt, lambda hidden: hidden.mean(axis=0))


def qwen3_embedding(folder: Path, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
    """The transformers example of the Qwen3-Embedding model card: hidden state of the last token, normalised."""
    return _embed(folder, texts, prompt, lambda hidden: hidden[-1])


def bge_m3(folder: Path, texts: Sequence[str], output: str) -> NDArray[np.float32]:
    """The formulas of FlagEmbedding's M3Embedder, token by token, for rows of up to 1024 tokens.

    FlagEmbedding 1.4.2 itself, asked once for the same model and texts, differed from this by 7e-7 at most.

    dense [n, d]; sparse [n, vocabulary]; multi_vector [tokens of all texts, d].
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    layers = {name: torch.load(folder / f"{name}_linear.pt", weights_only=True) for name in ("sparse", "colbert")}
    sparse, colbert = ({key: tensor.numpy() for key, tensor in layer.items()} for layer in layers.values())
    unused = {tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    found = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=1024)["input_ids"]
        with torch.no_grad():
            hidden = model(torch.tensor([ids])).last_hidden_state[0].numpy()
        if output == "dense":
            found.append(hidden[:1] / np.linalg.norm(hidden[0]))
        elif output == "multi_vector":
            vectors = hidden[1:] @ colbert["weight"].T + colbert["bias"]
            found.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        else:
            row = np.zeros((1, model.config.vocab_size), np.float32)
            for token, weight in zip(ids, hidden @ sparse["weight"][0] + sparse["bias"][0], strict=True):
                if token not in unused and weight > row[0, token]:
                    row[0, token] = weight
            found.append(row)
    return np.concatenate(found).astype(np.float32)


def llm_embedder(folder: Path, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
    """Queries of FlagEmbedding 1.2.11's LLMEmbedder: 256 tokens of prompt and text, hidden state of the first."""
    return _embed(folder, texts, prompt, lambda hidden: hidden[0], longest=256)


def _embed(
    folder: Path, texts: Sequence[str], prompt: str, pool: Callable[[Any], Any], longest: int = 512
) -> NDArray[np.float32]:
    """Vectors of prompt + text, cut to `longest` tokens."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(longest)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        rows = [torch.tensor([tokenizer.encode(prompt + text).ids]) for text in texts]
        pooled = [pool(model(row).last_hidden_state[0].numpy()) for row in rows]
    return np.stack([vector / np.linalg.norm(vector) for vector in pooled])


def _last_logits(folder: Path, rows: Sequence[list[int]]) -> list[Any]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return [model(torch.tensor([row]), use_cache=False).logits[0, -1].numpy() for row in rows]
