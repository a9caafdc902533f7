"""What an encoder begins with, as the operator for AMX computes it and as transformers does."""

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from export.amx import DOMAIN, library
from export.token_embeddings import TokenEmbeddings

pytestmark = pytest.mark.skipif(bool(library.refusal()), reason=library.refusal())

CONFIG = BertConfig(
    vocab_size=50, hidden_size=48, num_attention_heads=4, num_hidden_layers=1, max_position_embeddings=70
)
INPUTS = ("input_ids", "position_ids", "token_type_ids")
TOKENS = 70  # more than a thread's share

Ids = NDArray[np.int32]


class Alone(nn.Module):
    def __init__(self, model: BertModel) -> None:
        super().__init__()
        self.embeddings = TokenEmbeddings(model)

    def forward(self, *ids: Tensor) -> Tensor:
        found: Tensor = self.embeddings(dict(zip(INPUTS, ids, strict=False)))
        return found


def session_of(model: BertModel, inputs: tuple[str, ...], folder: Path) -> onnxruntime.InferenceSession:
    path = folder / "embeddings.onnx"
    arrays = tuple(torch.zeros(3, dtype=torch.int32) for _ in inputs)
    axes = {name: {0: "tokens"} for name in inputs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, of itself
        torch.onnx.export(
            Alone(model),
            arrays,
            str(path),
            input_names=list(inputs),
            dynamic_axes=axes,
            opset_version=17,
            custom_opsets={DOMAIN: 1},
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.register_custom_ops_library(str(library.write(folder)))
    return onnxruntime.InferenceSession(str(path), options)


@pytest.fixture(name="model", scope="module")
def _model() -> BertModel:
    torch.manual_seed(0)
    model = BertModel(CONFIG).eval()
    nn.init.normal_(model.embeddings.LayerNorm.weight, 1.0, 0.1)
    nn.init.normal_(model.embeddings.LayerNorm.bias, 0.0, 0.1)
    return model


def ids_of(tokens: int = TOKENS) -> dict[str, Ids]:
    dice = np.random.default_rng(0)
    tables = (CONFIG.vocab_size, CONFIG.max_position_embeddings, CONFIG.type_vocab_size)
    return {name: dice.integers(0, rows, tokens, np.int32) for name, rows in zip(INPUTS, tables, strict=True)}


@pytest.mark.parametrize("inputs", [INPUTS, INPUTS[:2]], ids=["with-types", "without"])
def test_equals_transformers(model: BertModel, inputs: tuple[str, ...], tmp_path: Path) -> None:
    ids = {name: ids_of()[name] for name in inputs}
    found = session_of(model, inputs, tmp_path).run(None, dict(ids))[0]
    with torch.no_grad():
        expected = model.embeddings(**{name: torch.from_numpy(each)[None].long() for name, each in ids.items()})[0]
    assert np.abs(found - expected.numpy()).max() < 2e-6


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("wrong", [-1, 1000])
def test_an_id_outside_its_table_is_refused(model: BertModel, name: str, wrong: int, tmp_path: Path) -> None:
    ids = ids_of()
    ids[name][TOKENS - 1] = wrong
    with pytest.raises(Exception, match="an id is not in its table"):
        session_of(model, INPUTS, tmp_path).run(None, dict(ids))


def test_fewer_ids_of_one_kind_are_refused(model: BertModel, tmp_path: Path) -> None:
    ids = ids_of()
    ids["token_type_ids"] = ids["token_type_ids"][:-1]
    with pytest.raises(Exception, match="not as many ids of each kind"):
        session_of(model, INPUTS, tmp_path).run(None, dict(ids))
