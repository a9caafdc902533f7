"""The torch model behind a description: transformers' own classes, fp32, eager attention, complete weights."""

import warnings
from typing import Any

import torch
import transformers
from torch import nn

from export.description import Description
from export.enc_t5 import EncT5ForSequenceClassification
from export.errors import ExportError
from export.int8_storage import StorageError, load_int8_state_dict
from export.source import CONFIG, check_weights

# Weights that a checkpoint of an embedder may lack because nothing reads them here.
_UNUSED = ("pooler.", "lm_head.")


def load(description: Description) -> nn.Module:
    """The model in eval mode. ExportError when weights are missing, damaged or of other shapes than the config says."""
    check_weights(description.transformer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers.utils.logging.set_verbosity_error()
        model = _load_int8(description) if description.transformer.stores_int8 else _load_float(description)
    ready: nn.Module = model.eval().requires_grad_(False)
    return ready


def vocab_size(model: nn.Module) -> int:
    """Rows of the token embedding."""
    return int(model.get_input_embeddings().weight.shape[0])  # type: ignore[operator]


def _load_float(description: Description) -> Any:
    source = description.transformer
    try:
        model, report = _model_class(description).from_pretrained(
            str(source.folder),
            config=_config(description),
            attn_implementation="eager",
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:
        raise ExportError(f"{source.label}: the weights do not load: {_explain(error)}") from error
    _require_complete(description, report["missing_keys"])
    return model


def _load_int8(description: Description) -> Any:
    source = description.transformer
    config = _config(description)
    model = _model_class(description).from_config(config, attn_implementation="eager", dtype=torch.float32)
    try:
        report = model.load_state_dict(load_int8_state_dict(source.folder), strict=False)
    except (StorageError, RuntimeError) as error:
        raise ExportError(f"{source.label}: the weights do not load: {_explain(error)}") from error
    _require_complete(description, report.missing_keys)
    return model


def _model_class(description: Description) -> Any:
    if description.config["model_type"] == "t5":
        return EncT5ForSequenceClassification if description.family.task == "rerank" else transformers.T5EncoderModel
    if description.family.answer is not None:
        return transformers.AutoModelForCausalLM
    if description.family.task == "rerank":
        return transformers.AutoModelForSequenceClassification
    return transformers.AutoModel


def _config(description: Description) -> Any:
    """The model's config, with the rotary settings where this version of transformers looks for them.

    transformers 5 writes them to `rope_parameters`; transformers 4 does not look there and takes its defaults.
    """
    config = transformers.AutoConfig.from_pretrained(str(description.transformer.folder), trust_remote_code=False)
    rope = description.config.get("rope_parameters") or {}
    per_layer = {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"}
    parts = {per_layer[kind]: rope[kind] for kind in per_layer if kind in rope} or (
        {"rope_theta": rope} if rope else {}
    )
    for name, settings in parts.items():
        if settings.get("rope_type", "default") != "default":
            raise ExportError(f"{description.source.label}: {CONFIG} asks for rotary positions {settings['rope_type']}")
        setattr(config, name, settings["rope_theta"])
    return config


def _require_complete(description: Description, missing: Any) -> None:
    unused = _UNUSED if description.family.task == "embed" else ()
    lost = sorted(
        key for key in missing if not key.endswith("position_ids") and not any(part in key for part in unused)
    )
    if lost:
        shown = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        raise ExportError(f"{description.source.label}: the weights lack {shown}; is {CONFIG} of this model?")


def _explain(error: Exception) -> str:
    """The line of a torch or transformers message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "mismatch" in line.lower()]
    if telling:
        return f"{telling[0][:300].rstrip('.')}; {CONFIG} and the weights are not of one model"
    return f"{(lines or [type(error).__name__])[0][:300].rstrip('.')}; they may be damaged: download the model again"
