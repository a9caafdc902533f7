"""What the batcher tells Prometheus. `lane` is interactive or bulk."""

from prometheus_client import Counter, Gauge, Histogram

from serving.batching.ticket import Priority
from serving.telemetry import SECONDS

TOKENS = tuple(float(2**power) for power in range(3, 17))
LANES = tuple(priority.value for priority in Priority)
DROP_REASONS = ("expired", "cancelled")
REFUSAL_REASONS = ("overloaded", "engine_down", "too_large")

QUEUE_SECONDS = Histogram(
    "siftline_queue_seconds", "Longest wait of a request's rows before dispatch", ["lane"], buckets=SECONDS
)
COMPUTE_SECONDS = Histogram("siftline_engine_seconds", "Time of one batch in the engine", buckets=SECONDS)
BATCH_TOKENS = Histogram("siftline_batch_tokens", "Tokens of a batch as computed, padding counted", buckets=TOKENS)
BATCH_ROWS = Histogram("siftline_batch_rows", "Rows of a batch", buckets=TOKENS)
TOKENS_COMPUTED = Counter("siftline_tokens_total", "Tokens computed; kind is real or padding", ["kind"])
IN_FLIGHT = Gauge("siftline_batches_in_flight", "Batches in the engine now", multiprocess_mode="livesum")
QUEUED_TOKENS = Gauge("siftline_queued_tokens", "Tokens that wait", ["lane"], multiprocess_mode="livesum")
DROPPED = Counter("siftline_requests_dropped_total", "Requests dropped before compute", ["lane", "reason"])
REFUSED = Counter("siftline_requests_refused_total", "Requests not admitted", ["lane", "reason"])
BATCH_FAILURES = Counter("siftline_batch_failures_total", "Batches that the engine failed", ["reason"])
SPLITS = Counter("siftline_batch_splits_total", "Batches split after the engine ran out of memory")

for _lane in LANES:
    QUEUE_SECONDS.labels(_lane)
    QUEUED_TOKENS.labels(_lane)
    for _reason in DROP_REASONS:
        DROPPED.labels(_lane, _reason)
    for _reason in REFUSAL_REASONS:
        REFUSED.labels(_lane, _reason)
for _kind in ("real", "padding"):
    TOKENS_COMPUTED.labels(_kind)
for _reason in ("error", "out_of_memory", "engine_down"):
    BATCH_FAILURES.labels(_reason)
