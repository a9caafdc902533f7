"""The python-backend Triton model that one would write in an afternoon: strings in, vectors out.

Triton's dynamic batcher joins requests; this tokenises what it gets, pads to the longest, runs the same graph with
the same ONNX Runtime and OpenVINO settings as siftline's runner (`runner.py` beside this file is a copy of it).
"""

import sys
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))
import runner


class TritonPythonModel:
    def initialize(self, args):
        folder = Path(__file__).parent
        self._session, _ = runner.open_session(folder / "model.onnx", "bf16,fp32", 1)
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_padding()
        self._tokenizer.enable_truncation(int((folder / "max_tokens").read_text()))

    def execute(self, requests):
        columns = [pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy()[:, 0] for request in requests]
        vectors = self._embed([text.decode() for column in columns for text in column])
        ends = np.cumsum([len(column) for column in columns])
        parts = np.split(vectors, ends[:-1])
        return [pb_utils.InferenceResponse([pb_utils.Tensor("VECTOR", part)]) for part in parts]

    def _embed(self, texts):
        encodings = self._tokenizer.encode_batch(texts)
        ids = np.array([encoding.ids for encoding in encodings], np.int32)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int32)
        positions = np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape)
        feed = {"input_ids": ids, "attention_mask": mask, "position_ids": np.ascontiguousarray(positions)}
        feed |= {"token_type_ids": np.zeros_like(ids), "pooling_mask": mask}
        return self._session.run(["vectors"], {name: feed[name] for name in self._inputs})[0]
