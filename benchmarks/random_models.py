"""Embedders of the true shapes with random weights: what they compute means nothing, how fast they do it does."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from export.catalogue import CatalogueEntry, Location

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@dataclass(frozen=True)
class Shape:
    """A BERT encoder."""

    name: str
    layers: int
    hidden: int
    heads: int
    vocabulary: int = 30522

    def entry(self) -> CatalogueEntry:
        return CatalogueEntry(
            name=f"random-{self.name}",
            task="embed",
            summary="random weights",
            licence="none",
            source=Location(folder="."),
            family="llm-embedder",  # pools the first token, unit vectors
        )

    def write(self, folder: Path) -> Path:
        """A transformers folder."""
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=4 * self.hidden,
        )
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
        _tokenizer().save_pretrained(folder)
        return folder


BASE = Shape("base", 12, 768, 12)
LARGE = Shape("large", 24, 1024, 16)
SMALL = Shape("small", 12, 384, 12)
TINY = Shape("tiny", 2, 64, 2, vocabulary=200)


def _tokenizer() -> PreTrainedTokenizerFast:
    """Letter by letter: an export wants to try the graph on text."""
    letters = [chr(code) for code in range(33, 127)]
    words = [*SPECIALS, *letters, *(f"##{letter}" for letter in letters)]
    backend = Tokenizer(WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = BertPreTokenizer()
    backend.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=512, **named)
