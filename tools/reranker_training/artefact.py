"""From a float32 checkpoint to the folder that ships: cut vocabulary, int8 weights, configuration."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

from export.int8_storage import load_int8_state_dict, save_int8_state_dict
from tools.reranker_training.embedder import minilm_folder, read_tokenizer
from tools.reranker_training.judged_set import read_judged_set
from tools.reranker_training.vocabulary import Vocabulary, count_pieces, documentation_texts, reduced, write_tokenizer

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
WORD_TABLE = "bert.embeddings.word_embeddings.weight"
VOCABULARY_SETS = {
    "squad-dev-en": "rest24",
    "medquad-en": "train",
    "squadshifts-new-wiki": "test",
    "pubmedqa-en": "test",
}


def counted_pieces(data: Path, tokenizer: Tokenizer, cache: Path) -> Counter[str]:
    """Piece counts over the English corpora, the queries of their listed split, and the Python documentation.

    Kept in ``cache`` as JSON once counted.
    """
    if cache.exists():
        return Counter(json.loads(cache.read_text(encoding="utf-8")))
    counts = count_pieces(tokenizer, _english_texts(data))
    cache.write_text(json.dumps(counts, ensure_ascii=False), encoding="utf-8")
    return counts


def write_artefact(checkpoint: Path, folder: Path, counts: Counter[str], size: int, max_length: int) -> Vocabulary:
    """Writes configuration, tokenizer and int8 weights of a checkpoint; returns the vocabulary that was kept."""
    folder.mkdir(parents=True, exist_ok=True)
    source = minilm_folder()
    vocabulary = reduced(read_tokenizer(source / "tokenizer.json"), counts, size)
    state = load_file(checkpoint)
    state[WORD_TABLE] = state[WORD_TABLE][vocabulary.old_ids]
    save_int8_state_dict(state, folder)
    write_tokenizer(source, folder, vocabulary, max_length)
    _write_config(source, folder, len(vocabulary.pieces))
    return vocabulary


def write_student(checkpoint: Path, teacher: Path, folder: Path) -> None:
    """Writes int8 weights and configuration of a student's checkpoint, with the tokenizer of its teacher's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    state = load_file(checkpoint)
    config = json.loads((teacher / "config.json").read_text(encoding="utf-8"))
    config["num_hidden_layers"] = len([name for name in state if name.endswith(".intermediate.dense.bias")])
    config["intermediate_size"] = len(state["bert.encoder.layer.0.intermediate.dense.bias"])
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    save_int8_state_dict(state, folder)
    for name in TOKENIZER_FILES:
        shutil.copyfile(teacher / name, folder / name)


def read_artefact(folder: Path) -> BertForSequenceClassification:
    """The shipped model, float32 weights restored from int8, in evaluation mode."""
    config = BertConfig.from_pretrained(folder, attn_implementation="eager")
    model = BertForSequenceClassification(config)
    state = load_int8_state_dict(folder)
    model.load_state_dict(state, strict=True)
    return model.eval()


def folder_bytes(folder: Path) -> int:
    """Total size of the files of a folder, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _english_texts(data: Path) -> Iterator[str]:
    for name, split in VOCABULARY_SETS.items():
        judged = read_judged_set(data / name, split)
        yield from judged.documents.values()
        yield from judged.queries.values()
    yield from documentation_texts()


def _write_config(source: Path, folder: Path, vocabulary_size: int) -> None:
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    dropped = {"_name_or_path", "gradient_checkpointing", "transformers_version", "use_cache"}
    kept = {key: value for key, value in config.items() if key not in dropped}
    kept |= {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "relevance"},
        "label2id": {"relevance": 0},
        "vocab_size": vocabulary_size,
    }
    (folder / "config.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
