"""What computes the logits of a batch: the stored weights in torch, or the exported graph as the service runs it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from tools.reranker_training.artefact import read_artefact
from tools.reranker_training.pairs import PairBatch

Engine = Callable[[PairBatch], NDArray[np.float32]]


class TorchEngine:
    """The weights of a folder; encoder in bfloat16, or float32 if ``exact``; head always float32."""

    def __init__(self, folder: Path, *, exact: bool = False) -> None:
        """Args: folder: The shipped model folder."""
        self._model = read_artefact(folder)
        if not exact:
            self._model.bert.bfloat16()

    @torch.inference_mode()
    def __call__(self, batch: PairBatch) -> NDArray[np.float32]:
        """Logits [pairs]."""
        pooled = self._model.bert(batch.input_ids, batch.attention_mask, batch.token_type_ids).pooler_output
        logits: NDArray[np.float32] = self._model.classifier(pooled.float())[:, 0].numpy()
        return logits


class GraphEngine:
    """An exported ``model.onnx`` in ONNX Runtime with the OpenVINO provider, bfloat16 arithmetic, on the CPU."""

    def __init__(self, graph: Path, threads: int) -> None:
        """Args: graph: What ``python -m export`` wrote."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": str(threads), "NUM_STREAMS": "1"}
        config = {"load_config": json.dumps({"CPU": settings})}
        options.add_provider_for_devices([_openvino_cpu()], config)
        self._session = onnxruntime.InferenceSession(str(graph), options)

    def __call__(self, batch: PairBatch) -> NDArray[np.float32]:
        """Logits [pairs]."""
        positions = torch.arange(batch.input_ids.shape[1]).expand_as(batch.input_ids)
        known = {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            "token_type_ids": batch.token_type_ids,
            "position_ids": positions,
        }
        feed = {each.name: known[each.name].int().numpy() for each in self._session.get_inputs()}
        logits: NDArray[np.float32] = np.asarray(self._session.run(None, feed)[0], dtype=np.float32)
        return logits.reshape(len(batch.input_ids))


@functools.cache
def _openvino_cpu() -> Any:
    import onnxruntime_ep_openvino as plugin

    onnxruntime.register_execution_provider_library("openvino", plugin.get_library_path())
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == plugin.get_ep_name()]
    return next(each for each in devices if each.device.type == onnxruntime.OrtHardwareDeviceType.CPU)
