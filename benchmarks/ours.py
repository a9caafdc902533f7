"""siftline's own services and gateway as systems under test, asked over gRPC by the stubs that a client would use."""

import itertools
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import grpc
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.processes import RUN, Server, free_ports, until_serving
from benchmarks.systems import Answer, Served
from benchmarks.workloads import Request
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc

CHANNELS = 2
UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
]


class Connection:
    """Channels to one server: embed and rerank calls take turns on them."""

    def __init__(self, address: str) -> None:
        self._channels = [grpc.aio.insecure_channel(address, options=UNLIMITED) for _ in range(CHANNELS)]
        self._embed = itertools.cycle([embed_pb2_grpc.EmbedServiceStub(channel) for channel in self._channels])
        self._rerank = itertools.cycle([rerank_pb2_grpc.RerankServiceStub(channel) for channel in self._channels])

    async def call(self, request: Request) -> Answer:
        return await (self.rerank(request) if request.query else self.embed(request))

    async def embed(self, request: Request) -> Answer:
        message = embed_pb2.EmbedRequest(texts=request.texts, dtype=embed_pb2.DTYPE_FLOAT32)
        reply = await next(self._embed).Embed(message)
        return np.frombuffer(reply.vectors, "<f4").reshape(reply.count, reply.dimensions)

    async def rerank(self, request: Request) -> Answer:
        message = rerank_pb2.RerankRequest(
            query=request.query,
            passages=request.texts,
            order=rerank_pb2.ORDER_INPUT,
            long_passage=rerank_pb2.LONG_PASSAGE_TRUNCATE,
        )
        reply = await next(self._rerank).Rerank(message)
        return np.array([result.logit for result in reply.results], np.float32)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


class Service(Served):
    """The embed or rerank service of one exported model, with the tritonserver that it starts."""

    def __init__(
        self, task: str, model: Path, name: str = "siftline", flags: Mapping[str, object] | None = None
    ) -> None:
        self.name = name
        self.model = model
        self.address, self.triton, http, metrics, self._metrics = (f"127.0.0.1:{port}" for port in free_ports(5))
        ports = ",".join(address.rpartition(":")[2] for address in (self.triton, http, metrics))
        settings = {
            "model-dir": model,
            "listen": self.address,
            "metrics": self._metrics,
            "triton-ports": ports,
            "log-dir": RUN / name,
        } | dict(flags or {})
        command = [sys.executable, "-m", f"services.{task}", *(f"--{key}={value}" for key, value in settings.items())]
        self.server = Server(f"{name}-{task}", command)

    async def start(self) -> None:
        await self.server.start()
        await until_serving(self.server, self.address)
        self._connection = Connection(self.address)

    async def stop(self) -> None:
        await self._connection.close()
        await self.server.stop()

    async def call(self, request: Request) -> Answer:
        return await self._connection.call(request)

    def cpu_seconds(self) -> dict[str, float]:
        total = self.server.cpu_seconds()
        total["service"] = total.pop(self.server.name, 0.0)
        return total

    async def tokens_computed(self) -> dict[str, float]:
        return scrape(self._metrics, "siftline_tokens_total", "kind")


def scrape(address: str, sample: str, label: str) -> dict[str, float]:
    """The values of one sample by one of its labels, from the /metrics of a server."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as reply:
        families = text_string_to_metric_families(reply.read().decode())
        return {s.labels[label]: s.value for family in families for s in family.samples if s.name == sample}
