"""How far torch's own bf16 and fp16 are from the references: python -m tests.conformance.torch_figures [MODEL...]

Reduced precision moves numbers whoever computes; only more than that is a mistake of ours. So the rows that the
services make are computed here by the families' own torch modules in that type, one at a time. The figures are kept in
torch_figures.json, because this takes minutes; the tests and docs/conformance.md read them.
"""

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export import loading, tokenizer_file
from export.description import describe
from services.embed.model import EmbedModel
from services.rerank.model import RerankModel
from serving.batching import Completed, PaddedLayout, Rows
from serving.batching.rows import take
from serving.served_model import TOKENIZER_FILE, load
from serving.tokenization import TokenizerPool
from tests.conformance import deployment
from tests.conformance.cases import EMBED_CASES, MODELS, PAIR_CASES, EmbedCase, PairCase
from tests.conformance.comparison import Compared, figures, key

FILE = Path(__file__).with_suffix(".json")
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
MANY = 1 << 30
LIMITS: Any = SimpleNamespace(
    max_texts=MANY,
    max_text_bytes=MANY,
    max_prompt_bytes=MANY,
    max_message_bytes=MANY,
    max_passages=MANY,
    max_windows=MANY,
)


class TorchBatcher:
    """Computes rows with a model's torch original, in the place of a service's batcher."""

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        source = deployment.source(MODELS[name])
        description = describe(source, name, deployment.entry(MODELS[name]), MODELS[name].family or None)
        self._graph = loading.load(description, tokenizer_file.load(description.transformer)).to(dtype)

    async def submit(self, rows: Rows, *_: Any) -> Completed:
        found = [self._outputs(take(rows, np.array([index]))) for index in range(len(rows))]
        of_rows = np.concatenate([outputs[0] for outputs in found])
        tokens = {
            name: np.concatenate([outputs[place][0] for outputs in found])
            for place, name in enumerate(self._graph.outputs[1:], start=1)
        }
        return Completed(of_rows, 0, 0, tokens)

    def _outputs(self, row: Rows) -> list[NDArray[np.float32]]:
        arrays = PaddedLayout(self._graph.inputs, 0).batch([row]).arrays
        with torch.no_grad():
            named = {name: torch.from_numpy(array.copy()).long() for name, array in arrays.items()}
            return [output.float().numpy() for output in self._graph.reference(named)]


async def measure(case: EmbedCase | PairCase, precision: str) -> Compared:
    folder = deployment.export_model(MODELS[case.model])
    model = load(folder)
    runtime: Any = SimpleNamespace(model=model, batcher=TorchBatcher(case.model, TYPES[precision]), fingerprint="")
    service = (EmbedModel if model.task == "embed" else RerankModel)(
        runtime, TokenizerPool(folder / TOKENIZER_FILE), LIMITS
    )
    replies: Any = [await service.answer(request, None) for request in case.requests()]  # type: ignore[arg-type]
    service.close()
    expected = case.expected(deployment.source(MODELS[case.model]).folder)
    return case.compare(case.read(replies, expected.shape[-1]), expected, precision)


async def main() -> None:
    torch.set_num_threads(1)
    found = dict(figures()) if FILE.is_file() else {}
    for case in (*EMBED_CASES, *PAIR_CASES):
        if sys.argv[1:] and case.model not in sys.argv[1:]:
            continue
        for precision in TYPES:
            compared = await measure(case, precision)
            found[key(case.reference, case.array, precision)] = [compared.difference, compared.spearman]
            print(case, precision, compared, flush=True)
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
