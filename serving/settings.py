"""Settings that every server has, and those that the model services share. Read once, then frozen."""

import os
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServerSettings(BaseSettings):
    """Of every server, whatever it serves. Each field says why one would change it."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", cli_kebab_case=True)

    # May change while the process runs, by live_file: each is looked at anew by every call, and by nothing else.
    LIVE: ClassVar[frozenset[str]] = frozenset({"log_calls", "trace_share"})

    listen: str = Field(description="HOST:PORT of gRPC; 0.0.0.0 lets other machines in")
    metrics: str = Field("", description="HOST:PORT of /metrics; empty for none")
    health: str = Field(
        "", description="HOST:PORT of the health service alone, in clear, for probes that speak no TLS; empty for none"
    )
    tls_cert: Path | None = Field(
        None, description="PEM file of this server's certificate (then those above it); without one it speaks no TLS"
    )
    tls_key: Path | None = Field(None, description="PEM file of the certificate's key")
    tls_client_ca: Path | None = Field(
        None, description="PEM file of authorities: only callers with a certificate from one of them are let in"
    )
    log_format: Literal["text", "json"] = Field("text", description="json for one object a line, for machines")
    log_calls: bool = Field(False, description="a line for every call: method, code, time, request id")
    traces: str = Field("", description="URL of an OpenTelemetry collector, http://HOST:4318; empty records no traces")
    trace_share: float = Field(1.0, ge=0, le=1, description="of the traces that begin here; a caller's is followed")
    max_message_bytes: int = Field(64 << 20, ge=1, description="largest gRPC message taken or sent")
    drain_seconds: float = Field(30.0, ge=0, description="time that calls in flight get on SIGTERM")
    workers: int = Field(
        1, ge=1, description="server processes on one port; more when one core cannot keep what is behind it busy"
    )
    worker: bool = Field(False, description="set by the process that starts workers: share the port")
    live_file: Path | None = Field(
        None, description="TOML file of settings that take effect within a second of its change (docs/production.md)"
    )
    log_dir: Path = Field(Path("build/run"), description="where processes that this one starts write their logs")


class ModelServiceSettings(ServerSettings):
    """Of the embed and the rerank service."""

    model_config = SettingsConfigDict(cli_parse_args=True)

    model_dir: Path = Field(description="the exported model to serve (build/models/NAME)")
    triton: str = Field("", description="HOST:PORT of a Triton that runs already; empty to start one")
    triton_tls_ca: Path | None = Field(
        None, description="PEM file of authorities of that Triton's certificate; without one it is talked to in clear"
    )
    triton_tls_cert: Path | None = Field(None, description="PEM file of the certificate to show to that Triton")
    triton_tls_key: Path | None = Field(None, description="PEM file of that certificate's key")
    triton_ports: str = Field("", description="GRPC,HTTP,METRICS ports of the Triton to start; empty for free ones")
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        description="fp32 agrees with the reference to six digits, fp16 to three; auto: the fastest that the "
        "CPU has and the export found exact enough",
    )
    instances: int = Field(
        0, ge=0, description="engine processes; 0 for one per core, or one per GPU. Fewer to leave cores to others"
    )
    threads: int = Field(1, ge=1, description="threads per engine process; more for large models on few requests")
    gpu_memory: float = Field(
        0.9,
        gt=0,
        le=1,
        description="share of a GPU's memory for engines; less where another service is on the same GPU",
    )
    batch_tokens: int = Field(0, ge=0, description="tokens per batch; 0 for what a sweep at first start finds best")
    in_flight: int = Field(0, ge=0, description="batches in the engine at once; 0 for one more than instances")
    queue_tokens: int = Field(
        1 << 20, ge=1, description="tokens that may wait per lane; fewer to refuse sooner, more to ride out bursts"
    )
    engine_timeout: float = Field(60.0, gt=0, description="seconds after which a batch counts as lost, engine as gone")
    max_text_bytes: int = Field(1 << 20, ge=1, description="longest text taken, UTF-8")
    rollout_dir: Path | None = Field(
        None, description="folder of exported models that may be rolled out without a restart; none refuses rollouts"
    )

    def engine_instances(self, *, on_gpu: bool) -> int:
        """A GPU takes one batch at a time, whoever sends it."""
        return self.instances or (1 if on_gpu else max(1, len(os.sched_getaffinity(0)) // self.threads))

    def batches_in_flight(self, instances: int) -> int:
        """One more than are computed at once, so that the next is there when one ends."""
        return self.in_flight or instances + 1
