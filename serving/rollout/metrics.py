"""What a rollout tells Prometheus."""

from prometheus_client import Counter, Gauge

from siftline.rollout.v1 import rollout_pb2 as pb

PHASES = tuple(value.name.removeprefix("PHASE_").lower() for value in pb.Phase.DESCRIPTOR.values if value.number)

PHASE = Gauge(
    "siftline_rollout_phase", "1 for the phase that the last rollout is in", ["phase"], multiprocess_mode="livemax"
)
WEIGHT = Gauge("siftline_rollout_weight", "Share of the calls that the new model answers", multiprocess_mode="livemax")
ROLLED_BACK = Counter("siftline_rollouts_rolled_back_total", "Rollouts that were taken back")

for _phase in PHASES:
    PHASE.labels(_phase)


def show(phase: int, weight: float) -> None:
    now = pb.Phase.Name(phase).removeprefix("PHASE_").lower()
    for name in PHASES:
        PHASE.labels(name).set(name == now)
    WEIGHT.set(weight)
