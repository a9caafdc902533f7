"""torch on the same card: sentence-transformers as it is, transformers with padding, and attention without any."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.on_gpu.sessions import by_batches
from benchmarks.on_gpu.subject import Computer, Pass, Subject, Vectors, texts_of
from export.packed_attention import PackedSelfAttention, Sequences
from export.packed_backbone import PackedBackbone
from serving.batching import Batch, PackedLayout, PaddedLayout, Rows

TEXTS_AT_ONCE = 128


def sentence_transformers(subject: Subject) -> Computer:
    """From texts, as its users call it."""
    from sentence_transformers import SentenceTransformer, models

    settings = {"torch_dtype": _kind(subject), "attn_implementation": "sdpa"}
    encoder = models.Transformer(str(subject.source.folder), model_args=settings)
    pooling = models.Pooling(subject.shape.hidden, pooling_mode="cls")
    model = SentenceTransformer(modules=[encoder, pooling, models.Normalize()], device=str(subject.device))

    def computer(rows: Rows) -> Pass:
        texts = texts_of(rows)
        return lambda: model.encode(texts, batch_size=TEXTS_AT_ONCE).astype("float32")

    return computer


def torch_sdpa(subject: Subject) -> Computer:
    """Padded, rows of like length together."""
    model = _on_device(subject, subject.original)

    def compute(batch: Batch) -> Vectors:
        hidden = model(**{name: _tensor(subject, array) for name, array in batch.arrays.items()})[0]
        return _unit(hidden[:, 0])

    return by_batches(PaddedLayout(("input_ids", "attention_mask"), 0), torch.inference_mode()(compute))


def torch_varlen(subject: Subject) -> Computer:
    """Packed as ours is, by torch's flash attention for sequences of any length; on a CPU by its sdpa, one by one."""
    backbone = PackedBackbone(subject.original)
    for layer, original in zip(backbone.encoder.layer, subject.original.encoder.layer, strict=True):
        layer.attention.self = _Varlen(original.attention.self)
    model = _on_device(subject, backbone)
    inputs = ("input_ids", "position_ids", "token_type_ids", "token_offset", "cu_seqlens", "row_numbers")

    def compute(batch: Batch) -> Vectors:
        named = {name: _tensor(subject, batch.arrays[name]) for name in inputs}
        return _unit(model(named).index_select(0, named["cu_seqlens"].index_select(0, named["row_numbers"])))

    return by_batches(PackedLayout(inputs, 0), torch.inference_mode()(compute))


class _Varlen(PackedSelfAttention):
    def forward(self, hidden: Tensor, attention_mask: Sequences, **unused: Any) -> tuple[Tensor]:
        heads = [part(hidden[0]).unflatten(1, (self._heads, -1)) for part in (self.query, self.key, self.value)]
        ends, longest = attention_mask.cu_seqlens, attention_mask.token_offset.shape[1]
        if hidden.is_cuda:
            flash = torch.ops.aten._flash_attention_forward
            context = flash(*heads, ends, ends, longest, longest, 0.0, False, False)[0]
        else:
            context = _one_by_one(heads, ends)
        return (context.flatten(1)[None],)


def _one_by_one(heads: list[Tensor], ends: Tensor) -> Tensor:
    rows = zip(*(part.tensor_split(ends[1:-1].tolist()) for part in heads), strict=True)
    attend = nn.functional.scaled_dot_product_attention
    return torch.cat([attend(*(part.transpose(0, 1) for part in row)).transpose(0, 1) for row in rows])


def _on_device(subject: Subject, model: Any) -> Any:
    import copy

    return copy.deepcopy(model).to(subject.device, _kind(subject))


def _kind(subject: Subject) -> torch.dtype:
    return torch.float16 if subject.on_gpu else torch.float32


def _tensor(subject: Subject, array: Any) -> Tensor:
    return torch.from_numpy(array).to(subject.device)


def _unit(hidden: Tensor) -> Vectors:
    vectors: Vectors = nn.functional.normalize(hidden.float(), dim=1).cpu().numpy()
    return vectors
