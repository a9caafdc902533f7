"""The texts that are measured: real ones, drawn with a fixed seed, counted with the model's own tokenizer.

    Q32    questions, 20 tokens on average, at most 32
    P128   passages of 128 tokens
    P512   passages of 512 tokens (a model that takes fewer cuts them)
    MIX    passages, lengths log-normal with mean 180, at most 512
    RR16   a question of 16 tokens and 16 passages as in MIX, each pair at most 512 (or what the model takes)
    RR100  the same with 100 passages

A passage is made as long as wanted by cutting a longer one at a token's end. Special tokens are counted.
"""

import gzip
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

SEED = 20261122
SETS = ("squad-dev-en", "squadshifts-new-wiki", "medquad-en", "pubmedqa-en")
PASSAGES_PER_SET = 1200
LONGEST = 512
MIX_MEAN, MIX_SIGMA = 180.0, 0.7
COUNTS = {"Q32": 4096, "P128": 1024, "P512": 256, "MIX": 2048, "RR16": 96, "RR100": 24}
QUERY_TOKENS = 16
SPECIALS, PAIR_SPECIALS = 2, 3


Ints = NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class Request:
    """Texts to embed, or passages to score when there is a query; `tokens` as computed, padding not counted."""

    texts: tuple[str, ...]
    tokens: int
    query: str = ""


@dataclass(frozen=True)
class Workload:
    name: str
    requests: tuple[Request, ...]

    @property
    def task(self) -> str:
        return "rerank" if self.requests[0].query else "embed"

    def facts(self) -> dict[str, object]:
        """What a result says of its workload."""
        texts = sum(len(request.texts) for request in self.requests)
        lines = (json.dumps([request.query, *request.texts]) for request in self.requests)
        return {
            "workload": self.name,
            "requests": len(self.requests),
            "texts": texts,
            "mean_tokens": round(sum(request.tokens for request in self.requests) / texts, 1),
            "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
            "seed": SEED,
        }


class Corpus:
    """Questions and passages of the judged sets in `data`, and how long they are for one tokenizer."""

    def __init__(self, data: Path, tokenizer_file: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._max_tokens = max_tokens
        random = np.random.default_rng(SEED)
        self._questions = _sample(random, data, "queries")
        self._passages = _sample(random, data, "corpus")
        self._encoded_passages = self._tokenizer.encode_batch(self._passages, add_special_tokens=False)

    def embed(self, name: str, texts_per_request: int) -> Workload:
        """For example ("MIX", 32) is MIXx32."""
        texts = getattr(self, f"_{name.lower()}")(COUNTS[name])
        counts = np.minimum(self.lengths(texts) + SPECIALS, self._max_tokens)
        requests = tuple(
            Request(tuple(texts[i : i + texts_per_request]), int(counts[i : i + texts_per_request].sum()))
            for i in range(0, len(texts), texts_per_request)
        )
        return Workload(f"{name}x{texts_per_request}", requests)

    def rerank(self, name: str) -> Workload:
        """RR16 or RR100."""
        passages_each = int(name.removeprefix("RR"))
        random = np.random.default_rng(SEED + passages_each)
        queries = self._questions_of(random, np.full(COUNTS[name], QUERY_TOKENS))
        requests = []
        for query in queries:
            room = LONGEST - PAIR_SPECIALS - QUERY_TOKENS
            passages = self._cut(random, np.minimum(_mixed(random, passages_each), room))
            pairs = np.minimum(self.lengths(passages) + QUERY_TOKENS + PAIR_SPECIALS, self._max_tokens)
            requests.append(Request(tuple(passages), int(pairs.sum()), query))
        return Workload(name, tuple(requests))

    def lengths(self, texts: Sequence[str]) -> Ints:
        """Tokens per text without special tokens, nothing cut."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return np.array([len(encoding.ids) for encoding in encodings])

    def _q32(self, count: int) -> list[str]:
        random = np.random.default_rng(SEED + 1)
        wanted = np.clip(np.rint(random.normal(20, 5, count)), 6, 32).astype(int) - SPECIALS
        return self._questions_of(random, wanted)

    def _p128(self, count: int) -> list[str]:
        return self._cut(np.random.default_rng(SEED + 2), np.full(count, 128 - SPECIALS))

    def _p512(self, count: int) -> list[str]:
        return self._cut(np.random.default_rng(SEED + 3), np.full(count, LONGEST - SPECIALS))

    def _mix(self, count: int) -> list[str]:
        random = np.random.default_rng(SEED + 4)
        return self._cut(random, _mixed(random, count))

    def _questions_of(self, random: np.random.Generator, wanted: Ints) -> list[str]:
        """A random question of each wanted length."""
        lengths = self.lengths(self._questions)
        return [self._questions[random.choice(np.flatnonzero(lengths == length))] for length in wanted]

    def _cut(self, random: np.random.Generator, wanted: Ints) -> list[str]:
        """The beginning of a random passage for each wanted length."""
        encodings = self._encoded_passages
        lengths = np.array([len(encoding.ids) for encoding in encodings])
        picks = [int(random.choice(np.flatnonzero(lengths >= length))) for length in wanted]
        ends = (encodings[pick].offsets[length - 1][1] for pick, length in zip(picks, wanted, strict=True))
        return [self._passages[pick][:end] for pick, end in zip(picks, ends, strict=True)]


def _mixed(random: np.random.Generator, count: int) -> Ints:
    """Log-normal lengths without special tokens."""
    location = math.log(MIX_MEAN) - MIX_SIGMA**2 / 2
    drawn = np.rint(random.lognormal(location, MIX_SIGMA, count)).astype(int)
    clipped: Ints = np.clip(drawn, 8, LONGEST) - SPECIALS
    return clipped


def _sample(random: np.random.Generator, data: Path, kind: str) -> list[str]:
    """Some texts of every set, in an order that the seed decides."""
    texts: list[str] = []
    for name in SETS:
        found = list(_read(data / name / f"{kind}.jsonl.gz"))
        texts += [found[i] for i in random.permutation(len(found))[:PASSAGES_PER_SET]]
    return texts


def _read(file: Path) -> Iterator[str]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]
