"""What is measured against what, how much of it is in flight, and where the parts lie."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ours import Service
from benchmarks.peers.afternoon.system import AfternoonTriton
from benchmarks.peers.infinity import Infinity
from benchmarks.peers.padded_folder import padded_folder
from benchmarks.peers.plain_folder import embedder_folder, reranker_folder
from benchmarks.peers.sentence_transformers import SentenceTransformers
from benchmarks.systems import Answering
from benchmarks.workloads import Corpus, Workload
from serving import served_model

DATA = Path("../shared/data")
RESULTS = Path("build/bench")
EMBEDDER = Path("build/models/all-minilm-l6-v2")
RERANKER = Path("build/models/siftline-minilm-l6-reranker")
MODELS = {"embed": EMBEDDER, "rerank": RERANKER}
# Requests in flight: enough that no system waits for its client.
IN_FLIGHT = {
    "Q32x1": 64,
    "Q32x32": 8,
    "MIXx1": 64,
    "MIXx32": 8,
    "P128x32": 4,
    "P512x8": 4,
    "RR16": 8,
    "RR100": 4,
}
COMPARED = {"embed": ("Q32x1", "Q32x32", "P128x32", "P512x8", "MIXx32"), "rerank": ("RR16", "RR100")}
# Ourselves with the models as they are served where there is no AMX: by OpenVINO, where it is.
PADDED_PEER = "siftline-padded"
# What every peer is compared on; the other workloads are for these only.
WIDELY_COMPARED = ("Q32x32", "MIXx32", "RR100")
EVERYWHERE = ("infinity-bf16", PADDED_PEER)


@dataclass(frozen=True)
class Bench:
    """The texts, as the two exported models count them."""

    corpora: dict[str, Corpus]

    @classmethod
    def open(cls, data: Path = DATA) -> "Bench":
        return cls({task: _corpus(data, folder) for task, folder in MODELS.items() if folder.is_dir()})

    def has(self, name: str) -> bool:
        return ("rerank" if name.startswith("RR") else "embed") in self.corpora

    def workload(self, name: str) -> Workload:
        if name.startswith("RR"):
            return self.corpora["rerank"].rerank(name)
        kind, _, texts = name.partition("x")
        return self.corpora["embed"].embed(kind, int(texts))


def _corpus(data: Path, folder: Path) -> Corpus:
    return Corpus(data, folder / served_model.TOKENIZER_FILE, served_model.load(folder).max_tokens)


def save(name: str, found: object) -> None:
    """Keeps what a script measured where report.py finds it, with the commit and the last minute's load of the machine.

    A load far above the number of cores and the client says that something else ran: then the figures say little.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    facts = {"commit": commit(), "load": round(os.getloadavg()[0], 1), "found": found}
    (RESULTS / f"{name}.json").write_text(json.dumps(facts, indent=1))


def commit() -> str:
    made = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], check=True, capture_output=True, text=True)
    return made.stdout.strip()


def batch_tokens(model: Path) -> int:
    """What the service's calibration chose; it must have been started once."""
    known = json.loads((model / "calibration.json").read_text())
    return int(next(iter(known.values()))[0])


def service(task: str) -> Service:
    return Service(task, MODELS[task])


def peers(task: str) -> dict[str, Answering]:
    """Every peer for a task, by name; none is started."""
    folder = embedder_folder() if task == "embed" else reranker_folder()
    padded = padded_folder(MODELS[task].name)
    found: list[Answering] = [Infinity(folder, precision) for precision in ("bf16", "fp32")]
    found.append(Service(task, padded, PADDED_PEER))
    found += [SentenceTransformers(folder, task, precision) for precision in ("bf16", "fp32")]
    if task == "embed":
        found.append(AfternoonTriton(padded))
    return {peer.name: peer for peer in found}


def makes_sense(peer: str, workload: str) -> bool:
    """A library that takes everything as one list has no requests of one text."""
    if workload == "Q32x1":
        return peer in (*EVERYWHERE, AfternoonTriton.name)
    return peer in EVERYWHERE or workload in WIDELY_COMPARED
