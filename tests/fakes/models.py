"""A tiny embedder and a tiny reranker, made here, in the layouts of sentence-transformers and transformers."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

Make = Callable[[Path], Path]
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
HIDDEN = 32


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def change_json(path: Path, **changes: object) -> None:
    write_json(path, json.loads(path.read_text("utf-8")) | changes)


def write_modules(folder: Path, kinds: dict[str, str]) -> None:
    """modules.json of sentence-transformers: kind of each module, and its subfolder."""
    modules = [
        {"idx": number, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(kinds.items())
    ]
    write_json(folder / "modules.json", modules)


def _tokenizer() -> PreTrainedTokenizerFast:
    letters = [chr(code) for code in range(33, 127)]
    words = [*SPECIAL.values(), *letters, *(f"##{letter}" for letter in letters)]
    backend = Tokenizer(WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = BertNormalizer(lowercase=True), BertPreTokenizer()
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **SPECIAL)


def _save(kind: type[transformers.PreTrainedModel], folder: Path) -> None:
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=1,
    )
    kind(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_embedder(folder: Path) -> Path:
    """A sentence-transformers folder: mean pooling, normalised, 32 dimensions, 64 positions."""
    _save(BertModel, folder)
    write_modules(folder, {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"})
    write_json(folder / "1_Pooling/config.json", {"word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": True})
    return folder


def make_reranker(folder: Path) -> Path:
    """A transformers folder: a BERT classifier of pairs with one label."""
    _save(BertForSequenceClassification, folder)
    return folder
