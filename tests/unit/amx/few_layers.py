"""A few layers of an encoder, as the operator computes them and as torch does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, save_model
from torch import nn

from export.amx import DOMAIN, library
from export.encoder import OPERATOR, Encoder

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sizes:
    """`head` is the width of one, before it is filled up."""

    hidden: int
    heads: int
    head: int
    inner: int


class Linears(nn.Module):
    """The parts of a BERT's layer under the names that transformers gives them, with weights at random."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        across = sizes.heads * sizes.head
        self.attention, self.intermediate, self.output = nn.Module(), nn.Module(), nn.Module()
        attention: Any = nn.Module()
        attention.num_attention_heads, attention.attention_head_size = sizes.heads, sizes.head
        attention.query, attention.key, attention.value = (nn.Linear(sizes.hidden, across) for _ in range(3))
        self.attention.self, self.attention.output = attention, nn.Module()
        self.attention.output.dense = nn.Linear(across, sizes.hidden)
        self.intermediate.dense = nn.Linear(sizes.hidden, sizes.inner)
        self.output.dense = nn.Linear(sizes.inner, sizes.hidden)
        for part in (self.attention.output, self.output):
            part.LayerNorm = nn.LayerNorm(sizes.hidden, eps=1e-12)
            nn.init.normal_(part.LayerNorm.weight, 1.0, 0.1)
            nn.init.normal_(part.LayerNorm.bias, 0.0, 0.1)
        for linear in (module for module in self.modules() if isinstance(module, nn.Linear)):
            nn.init.normal_(linear.weight, 0.0, 1.5 * linear.in_features**-0.5)
            nn.init.normal_(linear.bias, 0.0, 0.1)
            linear.weight.data = linear.weight.data.bfloat16().float()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """One sequence [L, H] in float32."""
        own: Any = self
        attention, attended = own.attention.self, own.attention.output
        split = (attention.num_attention_heads, attention.attention_head_size)
        parts = (
            part(hidden).unflatten(-1, split).transpose(0, 1)
            for part in (attention.query, attention.key, attention.value)
        )
        context = nn.functional.scaled_dot_product_attention(*parts).transpose(0, 1).flatten(1)
        middle = attended.LayerNorm(attended.dense(context) + hidden)
        units = nn.functional.gelu(own.intermediate.dense(middle))
        found: torch.Tensor = own.output.LayerNorm(own.output.dense(units) + middle)
        return found


class FewLayers:
    """A graph of one node, in ONNX Runtime."""

    def __init__(self, sizes: Sizes, folder: Path, first_only: bool = False, threads: int = 1, layers: int = 1) -> None:
        torch.manual_seed(0)
        self.original = nn.Sequential(*(Linears(sizes) for _ in range(layers))).eval()
        self.first_only = first_only
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.register_custom_ops_library(str(library.write(folder)))
        save_model(self._graph(sizes.hidden), str(folder / "few.onnx"))
        self._session = onnxruntime.InferenceSession(str(folder / "few.onnx"), options)

    def __call__(self, hidden: Floats, ends: list[int]) -> Floats:
        found: Floats = self._session.run(None, {"hidden": hidden, "ends": np.array(ends, np.int32)})[0]
        return found

    def expected(self, hidden: Floats, ends: list[int]) -> Floats:
        """By torch, in float32, sequence after sequence."""
        with torch.no_grad():
            whole = [self.original(torch.from_numpy(part)).numpy() for part in np.split(hidden, ends[1:-1])]
        return np.concatenate([each[:1] if self.first_only else each for each in whole])

    def _graph(self, hidden: int) -> Any:
        encoder = Encoder(self.original, self.first_only)
        heads, scale, epsilon, first_only = encoder.attributes
        weights = {name: weight for name, weight in encoder.named_buffers()}
        attributes = {"heads": heads, "scale": scale, "epsilon": epsilon, "first_only": first_only}
        node = helper.make_node(OPERATOR, ["hidden", "ends", *weights], ["out"], domain=DOMAIN, **attributes)
        inputs = [
            helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["tokens", hidden]),
            helper.make_tensor_value_info("ends", TensorProto.INT32, ["ends"]),
        ]
        output = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["rows", hidden])
        constants = [_constant(name, weight) for name, weight in weights.items()]
        graph = helper.make_graph([node], "few layers", inputs, [output], constants)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)], ir_version=8
        )


def _constant(name: str, weight: torch.Tensor) -> Any:
    if weight.dtype == torch.bfloat16:
        return helper.make_tensor(
            name, TensorProto.BFLOAT16, weight.shape, weight.view(torch.int16).numpy().tobytes(), raw=True
        )
    return helper.make_tensor(name, TensorProto.FLOAT, weight.shape, weight.numpy().tobytes(), raw=True)
