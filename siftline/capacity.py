"""How much of everything a load needs: plain arithmetic on figures whose source is told beside each result."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

GIB = 1 << 30
VECTOR_BYTES = 2  # fp16, in the cache as in the index
CACHE_ENTRY_BYTES = 160  # key, token count and Redis' own, besides the vector


@dataclass(frozen=True)
class Load:
    """What is asked of the system. Tokens are the models' own."""

    queries_per_s: float
    passages: int
    passage_tokens: float = 163.0
    passage_bytes: float = 800.0
    query_tokens: float = 20.0
    depth: int = 50  # passages reranked per query
    cache_hits: float = 0.0  # share of queries whose vector is in the cache
    cached_queries: int = 1_000_000


@dataclass(frozen=True)
class Unit:
    """One replica of a model service, or one GPU: tokens that it computes in a second, and where that is from."""

    embed_tokens_per_s: float
    rerank_tokens_per_s: float
    bulk_tokens_per_s: float  # embedding passages, many at once
    source: str
    kind: str = "replica"


@dataclass(frozen=True)
class Index:
    """Memory of a passage in the index: a constant, a part per byte of text and a part per dimension."""

    constant: float
    per_text_byte: float
    per_dimension: float
    source: str

    def bytes_per_passage(self, text_bytes: float, dimensions: int) -> float:
        return self.constant + self.per_text_byte * text_bytes + self.per_dimension * dimensions


@dataclass(frozen=True)
class Choices:
    """What an operator decides. `utilization` is how busy replicas may be: the rest is for bursts."""

    utilization: float = 0.6
    spares: int = 1
    shard_gib: float = 64.0
    copies: int = 2  # of each shard of the index
    unit_price: float = 0.0  # per hour, of a replica or GPU
    gib_price: float = 0.0  # per hour, of index and cache memory


@dataclass(frozen=True)
class Plan:
    """Counts are whole; memory in GiB; the cost per million queries in the currency of the prices, 0 without any."""

    embed: int
    rerank: int
    shards: int
    index_gib: float
    cache_gib: float
    index_hours: float  # to embed all passages once, on the embed replicas alone
    cost_per_million: float


def plan(load: Load, unit: Unit, index: Index, dimensions: int, choices: Choices) -> Plan:
    """Each stage is given the tokens that it computes in a second, at the utilization, and the spares on top."""
    embed_tokens = load.queries_per_s * (1 - load.cache_hits) * load.query_tokens
    rerank_tokens = load.queries_per_s * load.depth * load.passage_tokens
    embed = _units(embed_tokens, unit.embed_tokens_per_s, choices)
    rerank = _units(rerank_tokens, unit.rerank_tokens_per_s, choices) if load.depth else 0
    memory = load.passages * index.bytes_per_passage(load.passage_bytes, dimensions) / GIB
    cache = load.cached_queries * (VECTOR_BYTES * dimensions + CACHE_ENTRY_BYTES) / GIB
    hourly = (embed + rerank) * choices.unit_price + (memory * choices.copies + cache) * choices.gib_price
    return Plan(
        embed=embed,
        rerank=rerank,
        shards=max(1, math.ceil(memory / choices.shard_gib)),
        index_gib=memory,
        cache_gib=cache,
        index_hours=load.passages * load.passage_tokens / (embed * unit.bulk_tokens_per_s) / 3600,
        cost_per_million=hourly / (load.queries_per_s * 3600) * 1e6,
    )


def _units(tokens_per_s: float, speed: float, choices: Choices) -> int:
    return math.ceil(tokens_per_s / (speed * choices.utilization)) + choices.spares


def measured_unit(file: Path) -> Unit:
    """From the results of `make bench`, medians: queries one by one, 100 passages a query, passages in bulk."""
    results: dict[str, Any] = json.loads(file.read_text())

    def speed(workload: str) -> float:
        rows = results["throughput"]
        return float(median(r["tokens_per_s"] for r in rows if (r["system"], r["workload"]) == ("siftline", workload)))

    machine = results["machine"]
    source = f"measured {results['date']} at {results['commit']} on {machine['cores']} cores of {machine['cpu']}"
    return Unit(speed("Q32x1"), speed("RR100"), speed("MIXx32"), f"{source} ({file.name})")


def measured_index(file: Path) -> Index:
    """From the results of `python -m benchmarks.index_memory`."""
    results: dict[str, Any] = json.loads(file.read_text())
    fitted = results["fitted"]
    return Index(
        fitted["bytes"],
        fitted["bytes_per_text_byte"],
        fitted["bytes_per_dimension"],
        f"measured {results['date']} with {results['server']} ({file.name})",
    )
