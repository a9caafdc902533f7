"""What each transformer architecture wants as input. The table is all the exporter knows of architectures."""

from dataclasses import dataclass
from typing import Any

from export.errors import ExportError
from export.source import Source


@dataclass(frozen=True)
class Architecture:
    """Inputs besides input_ids and attention_mask, and how the positions of a row are numbered."""

    positions: bool = False  # takes explicit position_ids
    positions_after_pad: bool = False  # numbered from pad_token_id + 1 (RoBERTa), else from 0
    segments: bool = False  # takes token_type_ids
    causal: bool = False  # a decoder: each token sees only those in front

    def inputs(self, config: dict[str, Any]) -> tuple[str, ...]:
        names = ["input_ids", "attention_mask"]
        if self.segments and config.get("type_vocab_size", 2) > 1:
            names.append("token_type_ids")
        if self.positions:
            names.append("position_ids")
        return tuple(names)

    def position_offset(self, config: dict[str, Any]) -> int:
        return int(config["pad_token_id"]) + 1 if self.positions_after_pad else 0


_BERT = Architecture(positions=True, segments=True)
_ROBERTA = Architecture(positions=True, positions_after_pad=True, segments=True)
_DECODER = Architecture(causal=True)

ARCHITECTURES = {
    "albert": _BERT,
    "bert": _BERT,
    "camembert": _ROBERTA,
    "distilbert": Architecture(),
    "electra": _BERT,
    "gemma": _DECODER,
    "llama": _DECODER,
    "mistral": _DECODER,
    "modernbert": Architecture(),
    "mpnet": Architecture(positions=True, positions_after_pad=True),
    "qwen2": _DECODER,
    "qwen3": _DECODER,
    "roberta": _ROBERTA,
    "t5": Architecture(),
    "xlm-roberta": _ROBERTA,
}


def of(source: Source, config: dict[str, Any]) -> Architecture:
    """The architecture that config.json names; ExportError for one that is unknown or brings its own code."""
    model_type = config.get("model_type", "")
    if model_type in ARCHITECTURES:
        return ARCHITECTURES[model_type]
    if "auto_map" in config:
        raise ExportError(
            f"{source.label}: needs code that its repository brings (trust_remote_code), which is never run here; "
            f"look for a copy of it in an architecture of transformers"
        )
    known = ", ".join(sorted(ARCHITECTURES))
    raise ExportError(
        f"{source.label}: unknown architecture {model_type or '(none in config.json)'}; known are {known}"
    )


def longest_row(config: dict[str, Any], architecture: Architecture) -> int | None:
    """Tokens for which there are positions; None where the config sets no limit (T5)."""
    limit = config.get("max_position_embeddings")
    return None if limit is None else int(limit) - architecture.position_offset(config)
