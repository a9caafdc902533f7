"""What a model service tells Prometheus of its model, beside what its batcher tells."""

from prometheus_client import Counter, Gauge

MODEL = Gauge(
    "siftline_model_info",
    "1; the labels say which model is served and by what",
    ["model", "fingerprint", "engine", "precision"],
    multiprocess_mode="livemax",
)
RECOVERIES = Counter("siftline_engine_recoveries_total", "Times the model was loaded afresh after its engine failed")
