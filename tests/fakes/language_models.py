"""Tiny random models in the layouts of Gemma, Qwen3 and BGE-M3, around a tokenizer that exists already."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from tests.fakes.models import write_json, write_modules

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)
_SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
}


def make_gemma(folder: Path, tokenizer: Path) -> Path:
    """Tied embeddings, as Gemma has them."""
    config = GemmaConfig(vocab_size=_vocabulary(tokenizer), bos_token_id=1, eos_token_id=2, pad_token_id=0, **_SHAPE)
    return _save(GemmaForCausalLM, config, folder, tokenizer)


def make_qwen3(folder: Path, tokenizer: Path) -> Path:
    """An output layer of its own, as the larger Qwen3 have it."""
    config = Qwen3Config(vocab_size=_vocabulary(tokenizer), pad_token_id=0, tie_word_embeddings=False, **_SHAPE)
    return _save(Qwen3ForCausalLM, config, folder, tokenizer)


def make_qwen3_embedder(folder: Path, tokenizer: Path) -> Path:
    """Last token, normalised, prompts as Qwen3-Embedding names them."""
    config = Qwen3Config(vocab_size=_vocabulary(tokenizer), pad_token_id=0, **_SHAPE)
    _save(Qwen3Model, config, folder, tokenizer)
    prompt = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": prompt, "document": ""}})
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 64, "pooling_mode_lasttoken": True})
    write_modules(folder, {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"})
    return folder


def make_bge_m3(folder: Path, tokenizer: Path) -> Path:
    """Weights as a pickle and two more layers beside them, as the hub has it."""
    config = XLMRobertaConfig(
        vocab_size=6002,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=1026,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    _save(XLMRobertaModel, config, folder, tokenizer)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    for file, outputs in (("sparse_linear.pt", 1), ("colbert_linear.pt", 48)):
        layer = {"weight": torch.randn(outputs, 64) * 0.1, "bias": torch.randn(outputs) * 0.1}
        torch.save(layer, folder / file)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 1024, "do_lower_case": False})
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 64, "pooling_mode_cls_token": True})
    write_modules(folder, {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"})
    return folder


def _save(kind: type[PreTrainedModel], config: PretrainedConfig, folder: Path, tokenizer: Path) -> Path:
    """Every weight is random, also those that start as zeros or ones: what is skipped must show."""
    torch.manual_seed(0)
    model = kind(config)
    for parameter in model.parameters():
        spread = 0.3 if parameter.dim() == 1 else 0.15
        parameter.data += torch.randn_like(parameter) * spread
    model.save_pretrained(folder)
    for name in _TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, folder / name)
    return folder


def _vocabulary(tokenizer: Path) -> int:
    from tokenizers import Tokenizer

    return int(Tokenizer.from_file(str(tokenizer / "tokenizer.json")).get_vocab_size()) + 3
