"""What a new model has to show before it takes over; the defaults are those that rollout.proto names."""

import itertools
from dataclasses import asdict, dataclass

from serving.errors import InvalidArgument
from siftline.rollout.v1 import rollout_pb2 as pb

_OPTIONAL = (
    "shadow_calls",
    "shadow_seconds",
    "step_seconds",
    "max_error_ratio",
    "max_slowdown",
    "slack_ms",
    "linger_seconds",
)


@dataclass(frozen=True)
class Plan:
    """See Plan in rollout.proto."""

    parity: bool = False
    shadow_calls: int = 200
    shadow_seconds: float = 60.0
    steps: tuple[float, ...] = (0.01, 0.05, 0.25, 0.5, 1.0)
    step_seconds: float = 60.0
    max_error_ratio: float = 0.01
    max_slowdown: float = 1.5
    slack_ms: float = 20.0
    linger_seconds: float = 60.0

    @classmethod
    def of(cls, message: pb.Plan) -> "Plan":
        """Raises InvalidArgument for a plan that can't be carried out."""
        given = {name: getattr(message, name) for name in _OPTIONAL if message.HasField(name)}
        for name, value in given.items():
            if not value >= 0:
                raise InvalidArgument(f"plan.{name}", f"{value} is less than 0")
        steps = tuple(message.steps) or cls.steps
        if not all(0 < step <= 1 for step in steps) or any(a >= b for a, b in itertools.pairwise(steps)):
            raise InvalidArgument("plan.steps", f"{list(steps)} are not rising shares above 0, up to 1")
        return cls(parity=message.parity, steps=steps, **given)

    def message(self) -> pb.Plan:
        return pb.Plan(**asdict(self))
