"""What is wrong with a model's folder is said in one line, and nothing half-written stays behind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from export import __main__ as command
from export import verification
from export.catalogue import CatalogueEntry, Location
from export.errors import ExportError
from export.exporter import export
from tests.fakes.models import change_json, write_json


def no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "vocab.txt"):
        (folder / name).unlink(missing_ok=True)


def lost_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    write_json(folder / "model.safetensors.index.json", {"weight_map": shards})


def cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def garbage(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 200)


def overwritten(folder: Path) -> None:
    """All there, but not the numbers."""
    weights = bytearray((folder / "model.safetensors").read_bytes())
    begin = 8 + int.from_bytes(weights[:8], "little")
    weights[begin : begin + 4000] = b"\xff" * 4000
    (folder / "model.safetensors").write_bytes(weights)


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def dense_that_does_not_fit(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules.insert(2, {"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    write_json(folder / "modules.json", modules)
    write_json(folder / "2_Dense/config.json", {"in_features": 48, "out_features": 16})


def unknown_module(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    write_json(
        folder / "modules.json", [*modules, {"idx": 9, "path": "", "type": "sentence_transformers.models.Router"}]
    )


def broken_json(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert",')


def no_object(folder: Path) -> None:
    (folder / "config.json").write_text("[1]")


def no_modules(folder: Path) -> None:
    write_json(folder / "modules.json", [{"idx": 0}])


def config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: change_json(folder / "config.json", **changes)


def pooling(**changes: object) -> Callable[[Path], None]:
    return lambda folder: change_json(folder / "1_Pooling" / "config.json", **changes)


def nothing_says_how_it_pools(folder: Path) -> None:
    (folder / "modules.json").unlink()


def damaged_token_weights(folder: Path) -> None:
    (folder / "sparse_linear.pt").write_bytes(b"no pickle")


def token_vectors_of_another_model(folder: Path) -> None:
    torch.save({"weight": torch.zeros(16, 48), "bias": torch.zeros(16)}, folder / "colbert_linear.pt")


BROKEN = [
    (config(model_type="zorp"), "unknown architecture zorp"),
    (config(model_type="zorp", auto_map={"AutoModel": "modeling.Zorp"}), "trust_remote_code"),
    (no_tokenizer, "no tokenizer"),
    (lost_shard, "model-00002-of-00002.safetensors is missing"),
    (cut_short, "model.safetensors is damaged"),
    (garbage, "model.safetensors is damaged"),
    (overwritten, "its weights give no numbers"),
    (no_weights, "no weights"),
    (config(vocab_size=1000), r"mismatch.*; config\.json and the weights are not of one model"),
    (config(num_hidden_layers=3), "the weights lack encoder.layer.2"),
    (pooling(word_embedding_dimension=48), "word_embedding_dimension 48, but the layer in front of it gives 32"),
    (pooling(pooling_mode_mean_tokens=False), "no mode"),
    (dense_that_does_not_fit, "in_features 48, but the layer in front of it gives 32"),
    (unknown_module, "a module Router"),
    (broken_json, "config.json is not valid JSON"),
    (no_object, "its JSON files do not hold what a model's do"),
    (no_modules, r"its JSON files do not hold what a model's do \(KeyError: 'type'\)"),
    (config(hidden_size="many"), r"do not hold what a model's do \(ValueError: .*'many'\)"),
    (damaged_token_weights, "sparse_linear.pt is damaged"),
    (token_vectors_of_another_model, "colbert_linear.pt takes 48 numbers, but the model's hidden states have 32"),
    (nothing_says_how_it_pools, "give --as FAMILY"),
]


@pytest.mark.parametrize(("damage", "message"), BROKEN, ids=[message[:40] for _, message in BROKEN])
def test_one_line_and_nothing_left(
    embedder: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(embedder)
    out = tmp_path / "out"
    with pytest.raises(ExportError, match=message) as raised:
        export(embedder, out)
    assert "\n" not in str(raised.value)
    assert embedder.name in str(raised.value)
    assert not out.exists() or not list(out.iterdir())


CONTRADICTIONS = [
    ("embedder", "bge-reranker", "a family of rerankers, but modules.json makes an embedder of it"),
    ("embedder", "e5-mistral", "pool by lasttoken, but modules.json says mean"),
    ("reranker", "e5", "a family of embedders, but config.json says BertForSequenceClassification, a cross-encoder"),
    ("reranker", "qwen3-reranker", "language models that answer, but config.json says BertForSequenceClassification"),
]


@pytest.mark.parametrize(("kind", "family", "message"), CONTRADICTIONS, ids=lambda value: str(value)[:20])
def test_a_family_that_the_files_contradict(
    kind: str, family: str, message: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(ExportError, match=f"{family} is .*{message}.*; leave --as out, or name the right one"):
        export(request.getfixturevalue(kind), tmp_path / "out", family=family)


def test_more_labels_than_a_score_has(reranker: Path, tmp_path: Path) -> None:
    change_json(reranker / "config.json", id2label={"0": "no", "1": "maybe", "2": "yes"})
    with pytest.raises(ExportError, match="names 3 labels; a reranker has one, or two"):
        export(reranker, tmp_path / "out")


def test_tokenizer_of_another_model(embedder: Path, tmp_path: Path) -> None:
    """More ids than the model has embeddings for: the engine would read outside its table."""
    tokenizer = json.loads((embedder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["surplus"] = 5000
    write_json(embedder / "tokenizer.json", tokenizer)
    with pytest.raises(ExportError, match="up to id 5000, but the model has"):
        export(embedder, tmp_path / "out")


def test_more_tokens_than_positions(embedder: Path, tmp_path: Path) -> None:
    entry = CatalogueEntry(
        name="tiny", task="embed", summary="", licence="none", source=Location(folder="x"), max_tokens=65
    )
    with pytest.raises(ExportError, match="max_tokens 65, but the model has 64 positions"):
        export(embedder, tmp_path / "out", entry)


def test_dimensions_that_the_catalogue_has_wrong(embedder: Path, tmp_path: Path) -> None:
    entry = CatalogueEntry(
        name="tiny", task="embed", summary="", licence="none", source=Location(folder="x"), dimensions=48
    )
    with pytest.raises(ExportError, match="tiny: the catalogue says 48 dimensions, but the model gives 32"):
        export(embedder, tmp_path / "out", entry)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_graph_that_differs_is_not_written(embedder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what an earlier export wrote stays as it was."""
    out = tmp_path / "out"
    before = export(embedder, out)
    monkeypatch.setitem(verification.TOLERANCE["vectors"], "fp32", 1e-12)
    with pytest.raises(ExportError, match=r"differ from the torch original's by .*e-0\d, allowed is"):
        export(embedder, out)
    assert [path.name for path in out.iterdir()] == [embedder.name]
    assert before.digest in (out / embedder.name / "model.json").read_text()


@pytest.mark.parametrize("arguments", [["missing-folder"], ["no/such/model/here"], ["--as", "zorp"], ["--name", "A b"]])
def test_command_line(embedder: Path, tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    source = [] if not arguments[0].startswith("--") else [str(embedder)]
    assert command.main([*source, *arguments, "--out", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_not_a_model_folder(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "empty", ignore_errors=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExportError, match=r"neither config\.json nor modules\.json"):
        export(tmp_path / "empty", tmp_path / "out")
