"""The encoder of a BERT and its kin on packed tokens."""

import copy
from typing import Any

from torch import Tensor, nn

from export.packed_attention import DOMAIN, PackedSelfAttention, Sequences

# Encoders of one build: absolute positions, every token sees all of its sequence. The operators know no other kind.
MODEL_TYPES = ("bert", "camembert", "electra", "roberta", "xlm-roberta")


class Embeddings(nn.Module):
    """What an encoder begins with: int32 [T] each of ids, positions and, of a model with several, types."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.table = base.embeddings
        self.project = getattr(base, "embeddings_project", None) or nn.Identity()

    def forward(self, named: dict[str, Tensor]) -> Tensor:
        """The graph's inputs to [1, T, H]."""
        table, types = self.table, named.get("token_type_ids")
        segments = table.token_type_embeddings.weight[0] if types is None else table.token_type_embeddings(types)
        words = table.word_embeddings(named["input_ids"])
        embedded = words + segments + table.position_embeddings(named["position_ids"])
        projected: Tensor = self.project(table.LayerNorm(embedded.unsqueeze(0)))
        return projected


class PackedBackbone(nn.Module):
    """Embeddings and encoder of a model, sharing its weights; the model itself stays as it is."""

    domain = DOMAIN
    first_only = False

    def __init__(self, model: Any) -> None:
        super().__init__()
        base = model.base_model
        self.embeddings = Embeddings(base)
        self.encoder = copy.deepcopy(base.encoder, {id(weight): weight for weight in base.encoder.parameters()})
        for layer in self.encoder.layer:
            layer.attention.self = PackedSelfAttention(layer.attention.self)

    def forward(self, named: dict[str, Tensor]) -> Tensor:
        """The graph's inputs to hidden states [T, H], in the type of the weights."""
        sequences = Sequences(named["token_offset"], named["cu_seqlens"])
        encoded: Tensor = self.encoder(self.embeddings(named), attention_mask=sequences)[0]
        return encoded.squeeze(0)


def refusal(config: Any) -> str:
    """What of a model's config the packed layout is not for; "" for nothing."""
    if config.model_type not in MODEL_TYPES:
        return f"an encoder of the type {config.model_type}; it is for {', '.join(MODEL_TYPES)}"
    kind = getattr(config, "position_embedding_type", "absolute")
    if kind != "absolute":
        return f"positions of the type {kind}; it is for absolute"
    return "a decoder; it is for encoders" if config.is_decoder else ""
