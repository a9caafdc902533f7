"""Settings that the embed and the rerank service share. Read once from flags and environment, then frozen."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ModelServiceSettings(BaseSettings):
    """Each field says why one would change it."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", cli_parse_args=True, cli_kebab_case=True)

    model_dir: Path = Field(description="the exported model to serve (build/models/NAME)")
    listen: str = Field(description="HOST:PORT of gRPC; another host than 127.0.0.1 to be reached from outside")
    metrics: str = Field("", description="HOST:PORT of /metrics; empty for none")
    triton: str = Field("", description="HOST:PORT of a Triton that runs already; empty to start one")
    triton_ports: str = Field("", description="GRPC,HTTP,METRICS ports of the Triton to start; empty for free ones")
    log_dir: Path = Field(Path("build/run"), description="where the Triton that is started writes its log")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="fp32 to agree with the reference to six digits; auto takes bf16 where the CPU has it"
    )
    instances: int = Field(0, ge=0, description="engine processes; 0 for one per core. Fewer to leave cores to others")
    threads: int = Field(1, ge=1, description="threads per engine process; more for large models on few requests")
    workers: int = Field(1, ge=1, description="server processes on one port; more when one core cannot feed the engine")
    worker: bool = Field(False, description="set by the process that starts workers: share the port")
    batch_tokens: int = Field(0, ge=0, description="tokens per batch; 0 for what a sweep at first start finds best")
    in_flight: int = Field(0, ge=0, description="batches in the engine at once; 0 for one more than instances")
    queue_tokens: int = Field(
        1 << 20, ge=1, description="tokens that may wait per lane; fewer to refuse sooner, more to ride out bursts"
    )
    engine_timeout: float = Field(60.0, gt=0, description="seconds after which a batch counts as lost, engine as gone")
    max_text_bytes: int = Field(1 << 20, ge=1, description="longest text taken, UTF-8")
    max_message_bytes: int = Field(64 << 20, ge=1, description="largest gRPC message taken or sent")
    drain_seconds: float = Field(30.0, ge=0, description="time that calls in flight get on SIGTERM")

    @property
    def engine_instances(self) -> int:
        return self.instances or max(1, len(os.sched_getaffinity(0)) // self.threads)

    @property
    def batches_in_flight(self) -> int:
        """One more than are computed at once, so that the next is there when one ends."""
        return self.in_flight or self.engine_instances + 1

    @property
    def worker_changes(self) -> dict[str, object]:
        """In what a worker differs, except for the Triton's address: workers share the engine."""
        return {"in_flight": -(-self.batches_in_flight // self.workers), "instances": self.engine_instances}
