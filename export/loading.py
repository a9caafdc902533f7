"""The torch module that a description stands for, with its weights, ready to be exported or asked."""

from tokenizers import Tokenizer

from export import backbone, heads, relative_positions, rotary_positions, token_heads, tokenizer_file
from export.description import Description, hidden_size
from export.graph import AnswerGraph, EmbedderGraph, Graph, RerankerGraph

# A language model's question may come on top of max_tokens (see Answer.ends_on_top).
MOST_ON_TOP = 1024


def load(description: Description, tokenizer: Tokenizer) -> Graph:
    """ExportError for weights that are missing, damaged, of other shapes, or of another model than the tokenizer."""
    model = backbone.load(description)
    tokenizer_file.check_vocabulary(description.transformer, tokenizer, backbone.vocab_size(model))
    relative_positions.tabulate(model)
    rotary_positions.tabulate(model, description.max_tokens + MOST_ON_TOP)
    source, head, answer = description.source, description.head, description.family.answer
    arch, inputs = description.architecture, description.inputs
    if answer is not None:
        words = tokenizer_file.answer_ids(source, tokenizer, answer)
        return AnswerGraph(model, arch, inputs, *words)
    if head is None:
        return RerankerGraph(model, arch, inputs)
    dense, tokens = heads.dense_layers(source, head.dense), token_heads.load(source, hidden_size(description.config))
    return EmbedderGraph(model, arch, inputs, head.pooling, dense, head.normalized, tokens)
