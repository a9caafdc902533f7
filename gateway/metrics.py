"""Every metric of the gateway beyond those of its gRPC server, declared once and registered at start."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram

from gateway.degradation import Degradation
from serving import tracing
from serving.telemetry import SECONDS

CACHE_OUTCOMES = ("hit", "miss", "coalesced", "duplicate")
CACHE_OPERATIONS = ("get", "set", "claim")
CLAIM_OUTCOMES = ("own", "late", "shared")
CACHE_ERRORS = ("timeout", "connection", "response", "corrupt", "skipped", "dropped")
WINNERS = ("first", "second")
KINDS = ("search", "upsert", "embed", "embed_bulk", "rerank", "rerank_bulk")
STAGES = ("embed", "recall", "rerank", "store")

CACHE_TEXTS = Counter(
    "siftline_cache_texts_total",
    "Texts looked up in the embedding cache: found, not found, awaited from another request, repeated in the request",
    ["outcome"],
)
CACHE_FAILURES = Counter(
    "siftline_cache_errors_total",
    "Cache operations that failed (skipped: circuit open; dropped: too many writes waiting); requests go on without",
    ["operation", "kind"],
)
CACHE_BYTES = Counter("siftline_cache_bytes_total", "Bytes of values read from and written to the cache", ["operation"])
CACHE_SECONDS = Histogram(
    "siftline_cache_seconds",
    "Time of one MGET, one pipelined SET, or one pipeline of claims to compute",
    ["operation"],
    buckets=(0.0001, 0.0002, 0.0005, *SECONDS),
)
CACHE_CLAIMS = Counter(
    "siftline_cache_claims_total",
    "Texts not found of which gateways agree who computes them: this one, this one too because the other was late, "
    "another one",
    ["outcome"],
)
CACHE_OPEN = Gauge(
    "siftline_cache_circuit_open",
    "1 while the cache is left alone after failures",
    ["operation"],
    multiprocess_mode="livemax",
)

STAGE_SECONDS = Histogram(
    "siftline_search_stage_seconds", "Time of one stage of a search or upsert", ["stage"], buckets=SECONDS
)
DEGRADED_SEARCHES = Counter(
    "siftline_search_degraded_total", "Searches answered with less than was asked for, by reason", ["reason"]
)
HEAD_START = Counter(
    "siftline_search_head_start_passages_total",
    "Passages sent to the second stage while the query was embedded: asked for afterwards (used), or not (unused)",
    ["outcome"],
)
DOCUMENTS = Counter(
    "siftline_documents_upserted_total", "Documents stored, by where their vectors came from", ["vector"]
)
REFUSED = Counter(
    "siftline_refused_total", "Calls refused because too many were going on, or too many of their tenant", ["kind"]
)
ADMITTED = Gauge(
    "siftline_admission_limit",
    "Calls of usual size let in at a time: fewer than the setting while those let in overloaded the parts behind",
    ["kind"],
    multiprocess_mode="livesum",
)
QUOTA_REFUSED = Counter(
    "siftline_quota_refused_total", "Calls refused because their key had used up its quota", ["quota"]
)
HEDGED = Counter(
    "siftline_hedged_total", "Calls to a service that were tried twice because they were slow", ["service", "winner"]
)
AUDIT_FAILURES = Counter("siftline_audit_failures_total", "Lines that the audit log could not take")
QUOTA_ALONE = Counter(
    "siftline_quota_alone_total", "Charges made by this gateway for itself because Redis did not answer in time"
)
IN_FLIGHT = Gauge("siftline_in_flight", "Calls going on", ["kind"], multiprocess_mode="livesum")
MODEL_READY = Gauge(
    "siftline_gateway_model_ready",
    "1 while the service answered its last GetModel",
    ["service"],
    multiprocess_mode="livemin",
)

for _outcome in CACHE_OUTCOMES:
    CACHE_TEXTS.labels(_outcome)
for _outcome in CLAIM_OUTCOMES:
    CACHE_CLAIMS.labels(_outcome)
for _operation in ("get", "set"):
    CACHE_BYTES.labels(_operation)
for _operation in CACHE_OPERATIONS:
    CACHE_SECONDS.labels(_operation)
    CACHE_OPEN.labels(_operation)
    for _error in CACHE_ERRORS:
        CACHE_FAILURES.labels(_operation, _error)
for _stage in STAGES:
    STAGE_SECONDS.labels(_stage)
for _reason in Degradation:
    DEGRADED_SEARCHES.labels(_reason.name)
for _outcome in ("used", "unused"):
    HEAD_START.labels(_outcome)
for _vector in ("computed", "reused"):
    DOCUMENTS.labels(_vector)
for _kind in KINDS:
    REFUSED.labels(_kind)
    IN_FLIGHT.labels(_kind)
    ADMITTED.labels(_kind)
for _quota in ("requests", "tokens"):
    QUOTA_REFUSED.labels(_quota)
for _service in ("embed", "rerank"):
    for _winner in WINNERS:
        HEDGED.labels(_service, _winner)
    MODEL_READY.labels(_service)


def cache_hit_ratio() -> float:
    """Of the texts that this process looked up, each once per request; 0 when there were none."""
    counts = {outcome: CACHE_TEXTS.labels(outcome)._value.get() for outcome in ("hit", "miss", "coalesced")}
    return float(counts["hit"] / (sum(counts.values()) or 1))


class Stopwatch:
    """Time of one stage, in microseconds once it has ended."""

    micros = 0


@contextmanager
def stage(name: str) -> Iterator[Stopwatch]:
    """Times a stage for the metric, the trace and the reply."""
    watch, started = Stopwatch(), perf_counter()
    with tracing.span(name):
        try:
            yield watch
        finally:
            seconds = perf_counter() - started
            watch.micros = int(seconds * 1e6)
            STAGE_SECONDS.labels(name).observe(seconds, tracing.exemplar())
