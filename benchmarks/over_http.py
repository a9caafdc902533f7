"""What HTTP costs: the gateway over HTTP against itself over gRPC, and against infinity over HTTP.

    python -m benchmarks.over_http

One gateway, nothing cached, answers both ways in turn. Vectors travel as base64 in OpenAI's dialect; the HTTP client is
the one that infinity is measured with.
"""

import argparse
import asyncio
import base64
import json
from typing import Any

import numpy as np

from benchmarks import plan
from benchmarks.gateway import Gateway
from benchmarks.http_connection import HttpConnections
from benchmarks.ours import Service
from benchmarks.systems import Answer, Answering, Served, running
from benchmarks.throughput import compare, ratio_facts
from benchmarks.workloads import Request

# Against itself at 32 texts a request, against infinity at one.
QUESTIONS = (("Q32x32", "gateway"), ("MIXx32", "gateway"), ("Q32x1", "infinity-bf16"))


class OverHttp(Served):
    """A gateway that runs already, asked in OpenAI's dialect."""

    name = "gateway, HTTP"

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._http = HttpConnections(gateway.http_port)

    async def start(self) -> None:
        await self._http.open()

    async def stop(self) -> None:
        self._http.close()

    async def call(self, request: Request) -> Answer:
        body = {"model": "", "input": request.texts, "encoding_format": "base64"}
        reply = await self._http.post("/v1/embeddings", body)
        return np.stack([np.frombuffer(base64.b64decode(item["embedding"]), np.float32) for item in reply["data"]])

    def cpu_seconds(self) -> dict[str, float]:
        return self._gateway.cpu_seconds()

    async def tokens_computed(self) -> dict[str, float]:
        return await self._gateway.tokens_computed()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one run")
    parser.add_argument("--without-infinity", action="store_true")
    parser.add_argument("--workloads", nargs="*", default=[name for name, _ in QUESTIONS])
    options = parser.parse_args()
    bench = plan.Bench.open()
    embed = plan.service("embed")
    assert isinstance(embed, Service)
    gateway = Gateway(embed, cached=False)
    ours = OverHttp(gateway)
    others: dict[str, Answering] = {"gateway": gateway}
    if not options.without_infinity:
        others["infinity-bf16"] = plan.peers("embed")["infinity-bf16"]
    runs: list[dict[str, Any]] = []
    ratios: list[dict[str, Any]] = []
    async with running(embed, gateway, ours, *(other for name, other in others.items() if name != "gateway")):
        for name, against in QUESTIONS:
            if against not in others or name not in options.workloads:
                continue
            found = await compare(ours, others[against], bench.workload(name), options.pairs, options.seconds)
            runs += found
            ratios.append(ratio_facts(name, against, found))
            print(json.dumps(ratios[-1]), flush=True)
            plan.save("over_http", {"runs": runs, "ratios": ratios})


if __name__ == "__main__":
    asyncio.run(main())
