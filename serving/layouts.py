"""The layout that an exported model's graph wants its batches in."""

from serving.batching import Layout, PackedLayout, PaddedLayout
from serving.served_model import ServedModel


def layout_of(model: ServedModel, lengths: tuple[int, ...] = ()) -> Layout:
    """`lengths` are those that rows are padded to, where they are padded; empty for any."""
    if model.layout == "packed":
        return PackedLayout(model.inputs, model.pad_token_id, model.position_offset, in_steps=model.for_gpu)
    return PaddedLayout(model.inputs, model.pad_token_id, model.position_offset, lengths)
