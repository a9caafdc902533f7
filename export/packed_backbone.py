"""The encoder of a BERT and its kin on packed tokens."""

import copy
from typing import Any

from torch import Tensor, nn

from export.packed_attention import PackedSelfAttention, Sequences

# Encoders of one build: absolute positions, every token sees all of its sequence. The operator knows no other kind.
MODEL_TYPES = ("bert", "camembert", "electra", "roberta", "xlm-roberta")


class PackedBackbone(nn.Module):
    """Embeddings and encoder of a model, sharing its weights; the model itself stays as it is."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        base = model.base_model
        self.embeddings = base.embeddings
        self.project = getattr(base, "embeddings_project", None) or nn.Identity()
        self.encoder = copy.deepcopy(base.encoder, {id(weight): weight for weight in base.encoder.parameters()})
        for layer in self.encoder.layer:
            layer.attention.self = PackedSelfAttention(layer.attention.self)

    def forward(self, ids: Tensor, positions: Tensor, types: Tensor | None, sequences: Sequences) -> Tensor:
        """int32 [T] each (`types` None for a model with one) to hidden states float32 [1, T, H]."""
        table = self.embeddings
        segments = table.token_type_embeddings.weight[0] if types is None else table.token_type_embeddings(types)
        embedded = table.word_embeddings(ids) + segments + table.position_embeddings(positions)
        hidden = self.project(table.LayerNorm(embedded.unsqueeze(0)))
        encoded: Tensor = self.encoder(hidden, attention_mask=sequences)[0]
        return encoded


def refusal(config: Any) -> str:
    """What of a model's config the packed layout is not for; "" for nothing."""
    if config.model_type not in MODEL_TYPES:
        return f"an encoder of the type {config.model_type}; it is for {', '.join(MODEL_TYPES)}"
    kind = getattr(config, "position_embedding_type", "absolute")
    if kind != "absolute":
        return f"positions of the type {kind}; it is for absolute"
    return "a decoder; it is for encoders" if config.is_decoder else ""
