"""What an export leaves behind."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import text_format
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tritonclient.grpc import model_config_pb2

from export.exporter import export
from export.freshness import built_from, is_current
from export.graph_writer import Wish
from export.source import Source
from export.triton_repository import as_triton_gives_it
from serving.served_model import Backend, Engine, load


def test_the_folder_is_a_triton_repository(embedder: Path, tmp_path: Path) -> None:
    record = export(embedder, tmp_path / "out")
    folder = tmp_path / "out" / embedder.name
    version = folder / "repository" / embedder.name / "1"
    config = model_config_pb2.ModelConfig()
    text_format.Parse((version.parent / "config.pbtxt").read_text(), config)
    assert load(folder) == record
    assert (version / "model.py").is_file()
    assert [tensor.name for tensor in config.input] == list(record.inputs)
    assert config.parameters["max_tokens"].string_value == str(record.max_tokens) == "64"
    assert (record.dimensions, record.pooling, record.normalized) == (32, "mean", True)


BACKENDS = [("onnxruntime", "onnxruntime"), ("onnxruntime", "tensorrt"), ("tensorrt", "tensorrt")]


def test_for_tensorrt(embedder: Path, tmp_path: Path) -> None:
    """Without it, too: engines are then built where it is served."""
    said: list[str] = []
    plain = export(embedder, tmp_path / "out")
    record = export(embedder, tmp_path / "out", report=said.append, wish=Wish(engine="tensorrt"))
    config = as_triton_gives_it(tmp_path / "out" / record.name / "repository" / record.name)
    assert record.name == f"{plain.name}-tensorrt"
    assert record.model_copy(update={"name": plain.name}).fingerprint("fp32") == plain.fingerprint("fp32")
    assert config["backend"] == "python"
    assert config["instance_group"] == [{"count": 1}]  # the kind is AUTO, which is the default
    assert config["parameters"]["engine"]["string_value"] == "tensorrt"
    assert said[-1].startswith(
        f"{record.name}: no TensorRT engines were built, because this ONNX Runtime is built without"
    )


@pytest.mark.parametrize(("backend", "engine"), BACKENDS)
def test_for_other_backends_of_triton(backend: Backend, engine: Engine, embedder: Path, tmp_path: Path) -> None:
    record = export(embedder, tmp_path / "out", wish=Wish(engine=engine, backend=backend))
    config = as_triton_gives_it(tmp_path / "out" / record.name / "repository" / record.name)
    assert config["backend"] == backend
    assert config["default_model_filename"] == {"onnxruntime": "model.onnx", "tensorrt": "model.plan"}[backend]
    assert [output["name"] for output in config["output"]] == ["vectors"]
    assert "parameters" not in config
    if backend == "tensorrt":
        assert config["instance_group"] == [{"count": 1, "kind": "KIND_GPU", "profile": ["0", "1"]}]
    elif engine == "tensorrt":
        accelerators = config["optimization"]["execution_accelerators"]["gpu_execution_accelerator"]
        options = {each["name"]: each["parameters"] for each in accelerators}["tensorrt"]
        fp16 = {"precision_mode": "FP16", "trt_layer_norm_fp32_fallback": "1"}
        assert (fp16.items() <= options.items()) == ("fp16" in record.precisions)
        assert ("precision_mode" in options) == ("fp16" in record.precisions)
        assert options["trt_profile_max_shapes"].startswith("input_ids:512x64,")


def test_any_shape_runs(embedder: Path, tmp_path: Path) -> None:
    record = export(embedder, tmp_path / "out")
    graph = tmp_path / "out" / embedder.name / "repository" / embedder.name / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    for rows, length in ((1, 1), (1, 64), (7, 3)):
        vectors = session.run(None, {name: np.ones((rows, length), np.int32) for name in record.inputs})[0]
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


def test_pair_layout_is_the_tokenizers_own(reranker: Path, tmp_path: Path) -> None:
    record = export(reranker, tmp_path / "out")
    pair = record.pair
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / reranker.name / "tokenizer.json"))
    assert pair is not None
    query, passage = (tokenizer.encode(text, add_special_tokens=False).ids for text in ("ab c", "de"))
    assert [*pair.prefix, *query, *pair.middle, *passage, *pair.suffix] == tokenizer.encode("ab c", "de").ids
    assert pair.segment_ids
    assert pair.truncation == "longest_first"


def test_a_rerankers_last_layer_is_computed_for_the_first_token_alone(reranker: Path, tmp_path: Path) -> None:
    """That the logits are the original's the export has verified; here, that nothing is computed for nobody."""
    record = export(reranker, tmp_path / "out")
    path = tmp_path / "out" / reranker.name / "repository" / reranker.name / "1" / "model.onnx"
    graph = onnx.load(str(path))
    blocks = [node.output[0] for node in graph.graph.node if node.name.endswith("/output/LayerNorm/LayerNormalization")]
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in blocks)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(blocks, {name: np.ones((3, 7), np.int32) for name in record.inputs})
    *before, attended, last = [hidden.shape[:2] for hidden in found]
    assert set(before) == {(3, 7)}
    assert attended == last == (3, 1)


def test_weights_are_in_digest_and_fingerprint(embedder: Path, tmp_path: Path) -> None:
    """Two models of one name and different weights never meet in a cache or a collection."""
    first = export(embedder, tmp_path / "out")
    state = load_file(embedder / "model.safetensors")
    state["embeddings.word_embeddings.weight"] += 0.01
    save_file(state, embedder / "model.safetensors", metadata={"format": "pt"})
    second = export(embedder, tmp_path / "out")
    assert first.name == second.name
    assert first.fingerprint("fp32") != second.fingerprint("fp32")


def test_an_export_is_current_until_its_source_changes(embedder: Path, tmp_path: Path) -> None:
    source, folder = Source(embedder, embedder.name), tmp_path / "out" / embedder.name
    assert not is_current(folder, built_from(source, None, None))
    export(embedder, tmp_path / "out")
    assert is_current(folder, built_from(source, None, None))
    (embedder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q: "}}')
    assert not is_current(folder, built_from(source, None, None))
    assert export(embedder, tmp_path / "out").default_query_prompt == "query"
