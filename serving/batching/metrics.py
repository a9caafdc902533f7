"""What the batcher tells Prometheus. `lane` is interactive or bulk. Series are looked up once, here."""

from prometheus_client import Counter, Gauge, Histogram

from serving.batching.ticket import Priority
from serving.telemetry import SECONDS

TOKENS = tuple(float(2**power) for power in range(3, 17))
DROP_REASONS = ("expired", "cancelled")
REFUSAL_REASONS = ("overloaded", "engine_down", "too_large", "late")
FAILURE_REASONS = ("error", "out_of_memory", "engine_down")

_QUEUE_SECONDS = Histogram(
    "siftline_queue_seconds", "Longest wait of a request's rows before dispatch", ["lane"], buckets=SECONDS
)
_QUEUED_TOKENS = Gauge("siftline_queued_tokens", "Tokens that wait", ["lane"], multiprocess_mode="livesum")
_DROPPED = Counter("siftline_requests_dropped_total", "Requests dropped before compute", ["lane", "reason"])
_REFUSED = Counter("siftline_requests_refused_total", "Requests not admitted", ["lane", "reason"])
_BATCH_FAILURES = Counter("siftline_batch_failures_total", "Batches that the engine failed", ["reason"])
_TOKENS_COMPUTED = Counter("siftline_tokens_total", "Tokens computed; kind is real or padding", ["kind"])

COMPUTE_SECONDS = Histogram("siftline_engine_seconds", "Time of one batch in the engine", buckets=SECONDS)
BATCH_TOKENS = Histogram("siftline_batch_tokens", "Tokens of a batch as computed, padding counted", buckets=TOKENS)
BATCH_ROWS = Histogram("siftline_batch_rows", "Rows of a batch", buckets=TOKENS)
IN_FLIGHT = Gauge("siftline_batches_in_flight", "Batches in the engine now", multiprocess_mode="livesum")
SPLITS = Counter("siftline_batch_splits_total", "Batches split after the engine ran out of memory")

QUEUE_SECONDS = {lane: _QUEUE_SECONDS.labels(lane.value) for lane in Priority}
QUEUED_TOKENS = {lane: _QUEUED_TOKENS.labels(lane.value) for lane in Priority}
DROPPED = {(lane, reason): _DROPPED.labels(lane.value, reason) for lane in Priority for reason in DROP_REASONS}
REFUSED = {(lane, reason): _REFUSED.labels(lane.value, reason) for lane in Priority for reason in REFUSAL_REASONS}
BATCH_FAILURES = {reason: _BATCH_FAILURES.labels(reason) for reason in FAILURE_REASONS}
REAL_TOKENS = _TOKENS_COMPUTED.labels("real")
PADDING_TOKENS = _TOKENS_COMPUTED.labels("padding")
