"""What one may choose about a stack on one machine."""

from dataclasses import dataclass
from pathlib import Path

from local.ports import Ports


@dataclass(frozen=True)
class StackSettings:
    embed_model: Path
    rerank_model: Path
    ports: Ports
    # Holds run/ (logs, endpoints.json) and redis/ (the index). One stack at a time.
    state: Path
    # Empty for the embedded server.
    redis_url: str = ""
    # Of recall in the final order of collections that have none of their own.
    recall_weight: float = 0.0

    @property
    def run(self) -> Path:
        return self.state / "run"
