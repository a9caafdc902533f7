"""Measures the shipped reranker on sets it was not trained on, and writes ``evaluation.json`` into its folder.

python -m tools.evaluate_reranker --data ../shared/data --work build/reranker
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from export.int8_storage import FILE_NAME
from tools.reranker_training.embedder import Embedder, read_tokenizer
from tools.reranker_training.engines import GraphEngine, TorchEngine
from tools.reranker_training.judged_set import JudgedSet, read_judged_set
from tools.reranker_training.metrics import Candidates, Floats, fused, paired_difference, reciprocal_rank
from tools.reranker_training.mining import is_validation, ranked
from tools.reranker_training.reasons import facts, unknown
from tools.reranker_training.scoring import Scorer

DEPTH = 50
MAX_LENGTH = 256
SEED = 11
WEIGHTS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0)
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "onnxruntime", "onnxruntime-ep-openvino")
ENGLISH = ("squad-dev-en", "squadshifts-new-wiki", "pubmedqa-en", "medquad-en")


@dataclass(frozen=True)
class Measured:
    """One measurement: which queries (at most ``queries``, drawn with a seed) against the corpora of which sets."""

    name: str
    split: str
    queries: int
    corpora: tuple[str, ...]
    validation: bool = False


FIELDS = ("cosine", "first", "best", "relevant")


@dataclass(frozen=True)
class Stages:
    """Both stages and the SHA-256 of the reranker's weights."""

    embedder: Embedder
    scorer: Scorer
    digest: str


FITTED_ON = (
    Measured("squad-dev-en", "rest24", 60, ENGLISH, validation=True),
    Measured("medquad-en", "train", 60, ("medquad-en",), validation=True),
)
TESTED_ON = (
    Measured("squad-dev-en", "heldout24", 300, ENGLISH),
    Measured("medquad-en", "test", 300, ("medquad-en",)),
    Measured("squadshifts-new-wiki", "test", 150, ("squadshifts-new-wiki",)),
    Measured("pubmedqa-en", "test", 150, ("pubmedqa-en",)),
    Measured("cmrc2018-zh", "test", 30, ("cmrc2018-zh",)),
)


def sampled(data: Path, measured: Measured) -> JudgedSet:
    """The split with the drawn queries and the pooled corpora; a validation draw takes only untrained queries."""
    judged = read_judged_set(data / measured.name, measured.split)
    names = sorted(query for query in judged.queries if not measured.validation or _untrained(judged, query))
    chosen = random.Random(SEED).sample(names, min(measured.queries, len(names)))
    documents: dict[str, str] = {}
    for name in measured.corpora:
        documents |= judged.documents if name == judged.name else _corpus(data, name)
    return replace(judged, documents=documents, queries={query: judged.queries[query] for query in chosen})


def candidates(judged: JudgedSet, embedder: Embedder, scorer: Scorer) -> list[Candidates]:
    """Recalls the nearest 50 for each query and scores them."""
    identities, texts = list(judged.documents), list(judged.documents.values())
    vectors = embedder.encode(texts)
    queries = embedder.encode(list(judged.queries.values()))
    found: list[Candidates] = []
    rankings = ranked(embedder, judged, vectors, DEPTH)
    for (query, text), ranking, vector in zip(judged.queries.items(), rankings, queries, strict=True):
        relevant = np.array([identities[index] in judged.relevant[query] for index in ranking])
        cosine = (vectors[ranking] @ vector).astype(np.float64)
        if not relevant.any():  # no order of these has a relevant one: reciprocal rank 0 before and after
            found.append(Candidates(cosine, cosine, cosine, relevant))
            continue
        scores = scorer.score(text, [texts[index] for index in ranking])
        found.append(Candidates(cosine, scores.first.astype(np.float64), scores.best.astype(np.float64), relevant))
    return found


def store(work: Path, measured: Measured, digest: str) -> Path:
    """Where the candidates of one measurement of these weights are kept."""
    return work / f"candidates-{digest[:12]}-{measured.name}-{measured.split}-{measured.queries}.npz"


def stored_candidates(data: Path, work: Path, measured: Measured, stages: Stages) -> list[Candidates]:
    """The candidates of one measurement, from ``work`` if these weights were measured so before."""
    path = store(work, measured, stages.digest)
    if not path.exists():
        found = candidates(sampled(data, measured), stages.embedder, stages.scorer)
        columns = {name: np.stack([getattr(each, name) for each in found]) for name in FIELDS}
        np.savez(path, **columns, pace=np.array([stages.scorer.pairs, stages.scorer.seconds]))
    with np.load(path) as stored:
        columns = {name: stored[name] for name in FIELDS}
    return [Candidates(*row) for row in zip(*(columns[name] for name in FIELDS), strict=True)]


def fitted_weight(groups: Sequence[Sequence[Candidates]]) -> tuple[float, dict[str, float]]:
    """The weight with the best MRR@10 averaged over the groups, and that average for every weight tried."""
    averages = {
        weight: float(np.mean([np.mean(_fused_ranks(group, weight)) for group in groups])) for weight in WEIGHTS
    }
    best = max(averages, key=averages.__getitem__)
    return best, {str(weight): round(average, 4) for weight, average in averages.items()}


def summary(measured: Measured, judged: JudgedSet, group: Sequence[Candidates], weight: float) -> dict[str, object]:
    """The numbers of one set: recall alone, then each way of reranking with its paired difference to recall."""
    recall = _ranks([(each.cosine, each) for each in group])
    scored = [each for each in group if each.relevant.any()]
    truncated = _ranks([(each.first, each) for each in group])
    windows = _ranks([(each.best, each) for each in group])
    return {
        "set": measured.name,
        "split": measured.split,
        "passages": len(judged.documents),
        "queries": len(group),
        "in_top_50": round(float(np.mean([each.relevant.any() for each in group])), 4),
        "recall_mrr": round(float(recall.mean()), 4),
        "truncated": _against(truncated, recall),
        "windows": _against(windows, recall),
        "fused": _against(_fused_ranks(group, weight), recall),
        "windows_minus_truncated": _against(windows, truncated),
        "above_zero_relevant": round(float(np.mean(np.concatenate([e.best[e.relevant] > 0 for e in scored]))), 4),
        "above_zero_other": round(float(np.mean(np.concatenate([e.best[~e.relevant] > 0 for e in scored]))), 4),
        **facts(group, weight),
    }


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the judged sets")
    parser.add_argument("--work", type=Path, default=Path("build/reranker"), help="folder of the vector cache")
    parser.add_argument("--model", type=Path, default=Path("weights/siftline-minilm-l6-reranker"))
    parser.add_argument("--graph", type=Path, help="exported model.onnx to run instead of the stored weights in torch")
    parser.add_argument(
        "--only", nargs="*", metavar="SET:SPLIT", help="what to score and keep in --work, for a later run to report"
    )
    parser.add_argument("--stored", action="store_true", help="report on what is kept in --work and score nothing")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(arguments)


def main() -> None:
    """Scores each set, or takes its scores from an earlier run; writes the file unless only some were asked for."""
    options = parse()
    torch.set_num_threads(options.threads)
    engine = GraphEngine(options.graph, options.threads) if options.graph else TorchEngine(options.model)
    scorer = Scorer(options.model / "tokenizer.json", engine, MAX_LENGTH)
    digest = hashlib.sha256((options.model / FILE_NAME).read_bytes()).hexdigest()
    stages = Stages(Embedder(options.work / "vectors.npz"), scorer, digest)
    wanted = [
        each for each in (*FITTED_ON, *TESTED_ON) if not options.only or f"{each.name}:{each.split}" in options.only
    ]
    if options.stored:
        wanted = [each for each in wanted if store(options.work, each, digest).exists()]
    found = {each: stored_candidates(options.data, options.work, each, stages) for each in wanted}
    if not options.only:
        tokenizer = read_tokenizer(options.model / "tokenizer.json")
        _write(options.model / "evaluation.json", report(options.data, found, type(engine).__name__, digest, tokenizer))


def report(
    data: Path, found: dict[Measured, list[Candidates]], engine: str, digest: str, tokenizer: Tokenizer
) -> dict[str, object]:
    """Everything that ``evaluation.json`` says."""
    fitting = [found[each] for each in FITTED_ON]
    weight, averages = fitted_weight(fitting)
    return {
        "weights_sha256": digest,
        "engine": engine,
        "versions": {name: version(name) for name in PACKAGES},
        "depth": DEPTH,
        "max_length": MAX_LENGTH,
        "seed": SEED,
        "fusion_weight": weight,
        "fusion_fit": averages,
        "fitted_queries": sum(map(len, fitting)),
        "sets": [
            summary(each, judged, found[each], weight) | {"unknown": unknown(tokenizer, judged.documents.values())}
            for each, judged in ((each, sampled(data, each)) for each in TESTED_ON if each in found)
        ],
    }


def _write(path: Path, report: dict[str, object]) -> None:
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _untrained(judged: JudgedSet, query: str) -> bool:
    return any(is_validation(document) for document in judged.relevant[query])


def _corpus(data: Path, name: str) -> dict[str, str]:
    split = "heldout24" if name == "squad-dev-en" else "test"
    return read_judged_set(data / name, split).documents


def _ranks(scored: Sequence[tuple[Floats, Candidates]]) -> Floats:
    return np.array([reciprocal_rank(scores, each.relevant) for scores, each in scored])


def _fused_ranks(group: Sequence[Candidates], weight: float) -> Floats:
    return _ranks([(fused(each.best, each.cosine, weight), each) for each in group])


def _against(after: Floats, before: Floats) -> dict[str, float]:
    difference = paired_difference(after, before, SEED)
    numbers = {"mrr": float(after.mean()), **asdict(difference)}
    return {name: round(number, 4) for name, number in numbers.items()}


if __name__ == "__main__":
    main()
