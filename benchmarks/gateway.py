"""The gateway in front of a running service, with an embedded Redis for its cache."""

import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.ours import Connection, Service
from benchmarks.processes import RUN, Server, free_ports, until_serving
from benchmarks.systems import Answer, Served
from benchmarks.workloads import Request
from local import redis

REDIS_DATA = Path("build/bench/redis")


class Gateway(Served):
    """Embeds through the gateway; `cached` keeps vectors, so that what was asked before is answered from Redis.

    `claim_s`: how long a gateway's claim to compute a text holds, 0 for none. `environment`: variables besides ours.
    """

    def __init__(
        self,
        embed: Service,
        rerank_address: str = "",
        *,
        cached: bool,
        claim_s: float = 0.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = "gateway, cache hit" if cached else "gateway"
        port, self.http_port, self._redis_port, self._metrics = free_ports(4)
        self.address = f"127.0.0.1:{port}"
        self._embed = embed
        url = redis.embedded_url(self._redis_port)
        flags = {
            "listen": self.address,
            "http": f"127.0.0.1:{self.http_port}",
            "metrics": f"127.0.0.1:{self._metrics}",
            "embed": embed.address,
            "rerank": rerank_address,
            "cache-url": url if cached else "",
            "index-url": url,
            "cache-claim-s": claim_s,
        }
        command = [sys.executable, "-m", "gateway", *(f"--{key}={value}" for key, value in flags.items())]
        self._server = Server("gateway", command, environment)
        self._redis = Server("redis", redis.embedded_command(self._redis_port, REDIS_DATA / str(port)))

    async def start(self) -> None:
        RUN.mkdir(parents=True, exist_ok=True)
        await self._redis.start()
        await self._server.start()
        await until_serving(self._server, self.address)
        self._connection = Connection(self.address)

    async def stop(self) -> None:
        await self._connection.close()
        await self._server.stop()
        await self._redis.stop()

    async def call(self, request: Request) -> Answer:
        return await self._connection.call(request)

    def cpu_seconds(self) -> dict[str, float]:
        return self._server.cpu_seconds() | self._redis.cpu_seconds() | self._embed.cpu_seconds()

    async def tokens_computed(self) -> dict[str, float]:
        return await self._embed.tokens_computed()
