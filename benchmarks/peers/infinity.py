"""infinity-emb, the torch engine, over HTTP: the peer that most people would take instead.

It lives in a virtual environment of its own (infinity.txt, `make bench-peers`). Settings are the fastest that were
found for it: vectors as base64, no access log, batches of 32, no sleep between batches, connections kept alive, and a
client that does little more than write and read bytes.
"""

import asyncio
import base64
from pathlib import Path

import numpy as np

from benchmarks.http_connection import HttpConnections
from benchmarks.processes import Server, free_ports
from benchmarks.systems import Answer, Served
from benchmarks.workloads import Request

PROGRAM = Path("build/bench-venv/bin/infinity_emb")
ENVIRONMENT = {"INFINITY_ANONYMOUS_USAGE_STATS": "0", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
DTYPES = {"bf16": "bfloat16", "fp32": "float32"}


class Infinity(Served):
    """One model folder, as sentence-transformers or transformers save it, in bf16 or fp32."""

    def __init__(self, model: Path, precision: str, batch_size: int = 32) -> None:
        self.name = f"infinity-{precision}"
        (self._port,) = free_ports(1)
        self._http = HttpConnections(self._port)
        self._model = model.name
        flags = (
            f"--engine torch --device cpu --dtype {DTYPES[precision]} --batch-size {batch_size} --no-bettertransformer"
        )
        quiet = f"--log-level error --host 127.0.0.1 --port {self._port}"
        command = [str(PROGRAM), "v2", "--model-id", str(model.resolve()), "--served-model-name", self._model]
        self._server = Server(self.name, [*command, *flags.split(), *quiet.split(), "--url-prefix", ""], ENVIRONMENT)

    async def start(self) -> None:
        await self._server.start()
        for _ in range(600):
            self._server.require_running()
            try:
                await self._http.open()
                return
            except ConnectionRefusedError:
                await asyncio.sleep(0.2)
        raise RuntimeError(f"{self.name} did not start")

    async def stop(self) -> None:
        self._http.close()
        await self._server.stop()

    async def call(self, request: Request) -> Answer:
        return await (self._rerank(request) if request.query else self._embed(request))

    def cpu_seconds(self) -> dict[str, float]:
        return {"service": sum(self._server.cpu_seconds().values())}

    async def _embed(self, request: Request) -> Answer:
        body = {"model": self._model, "input": request.texts, "encoding_format": "base64"}
        reply = await self._http.post("/embeddings", body)
        return np.stack([np.frombuffer(base64.b64decode(item["embedding"]), np.float32) for item in reply["data"]])

    async def _rerank(self, request: Request) -> Answer:
        body = {"model": self._model, "query": request.query, "documents": request.texts, "raw_scores": True}
        reply = await self._http.post("/rerank", body)
        logits = np.empty(len(request.texts), np.float32)
        for result in reply["results"]:
            logits[result["index"]] = result["relevance_score"]
        return logits
