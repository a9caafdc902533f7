"""A packed graph that a CPU can compute: PackedMultiHeadAttention in operators that every provider has.

Only for tests: of T tokens it computes T x T scores, and throws away those across sequences.
"""

from pathlib import Path

import onnx
from onnx import inliner, parser

from export.packed_attention import OPERATOR

_DOMAIN = "siftline.test"
_FUNCTION = """
<opset_import: ["" : 17], domain: "siftline.test">
SpelledOut (query, key, value, bias, token_offset, cu_seqlens) => (context)
{
    query_bias, key_bias, value_bias = Split <axis = 0> (bias)
    shape = Constant <value = int64[3] {0, HEADS, -1}> ()
    queries = Add (query, query_bias)
    queries_of_heads = Reshape (queries, shape)
    q = Transpose <perm = [1, 0, 2]> (queries_of_heads)
    keys = Add (key, key_bias)
    keys_of_heads = Reshape (keys, shape)
    k = Transpose <perm = [1, 2, 0]> (keys_of_heads)
    values = Add (value, value_bias)
    values_of_heads = Reshape (values, shape)
    v = Transpose <perm = [1, 0, 2]> (values_of_heads)
    products = MatMul (q, k)
    scale = Constant <value = float {SCALE}> ()
    scores = Mul (products, scale)
    zero = Constant <value = int64 {0}> ()
    one = Constant <value = int64 {1}> ()
    first = Constant <value = int64[1] {0}> ()
    second = Constant <value = int64[1] {1}> ()
    beyond = Constant <value = int64[1] {1000000000}> ()
    size = Shape <start = 0, end = 1> (query)
    count = Squeeze (size)
    places = Range (zero, count, one)
    column = Unsqueeze (places, second)
    ends_int32 = Slice (cu_seqlens, second, beyond)
    ends = Cast <to = 7> (ends_int32)
    passed = GreaterOrEqual (column, ends)
    passed_int64 = Cast <to = 7> (passed)
    sequence = ReduceSum <keepdims = 1> (passed_int64, second)
    others = Transpose <perm = [1, 0]> (sequence)
    same = Equal (sequence, others)
    never = Constant <value = float {-30000.0}> ()
    masked = Where (same, scores, never)
    weights = Softmax <axis = -1> (masked)
    attended = MatMul (weights, v)
    of_tokens = Transpose <perm = [1, 0, 2]> (attended)
    flat = Constant <value = int64[2] {0, -1}> ()
    context = Reshape (of_tokens, flat)
}
"""


def spell_out(path: Path) -> None:
    """Rewrites the graph in `path`; one that is spelled out already stays as it is."""
    model = onnx.load(str(path))
    width = {weight.name: weight.dims[0] // 3 for weight in model.graph.initializer if len(weight.dims) == 1}
    nodes = [node for node in model.graph.node if node.op_type == OPERATOR]
    if not nodes:
        return
    heads = nodes[0].attribute[0].i
    scale = (width[nodes[0].input[3]] // heads) ** -0.5
    text = _FUNCTION.replace("HEADS", str(heads)).replace("SCALE", repr(scale))
    for node in nodes:
        node.op_type, node.domain = "SpelledOut", _DOMAIN
        node.ClearField("attribute")
    model.functions.append(parser.parse_function(text))
    model.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    onnx.save(inliner.inline_local_functions(model), str(path))
