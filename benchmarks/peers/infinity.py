"""infinity-emb, the torch engine, over HTTP: the peer that most people would take instead.

It lives in a virtual environment of its own (infinity.txt, `make bench-peers`). Settings are the fastest that were
found for it: vectors as base64, no access log, batches of 32, no sleep between batches, connections kept alive, and a
client that does little more than write and read bytes.
"""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

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
        self._idle: list[HttpConnection] = []
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
                self._idle.append(await HttpConnection.open(self._port))
                return
            except ConnectionRefusedError:
                await asyncio.sleep(0.2)
        raise RuntimeError(f"{self.name} did not start")

    async def stop(self) -> None:
        for connection in self._idle:
            connection.close()
        await self._server.stop()

    async def call(self, request: Request) -> Answer:
        return await (self._rerank(request) if request.query else self._embed(request))

    def cpu_seconds(self) -> dict[str, float]:
        return {"service": sum(self._server.cpu_seconds().values())}

    async def _embed(self, request: Request) -> Answer:
        body = {"model": self._model, "input": request.texts, "encoding_format": "base64"}
        reply = await self._post("/embeddings", body)
        return np.stack([np.frombuffer(base64.b64decode(item["embedding"]), np.float32) for item in reply["data"]])

    async def _rerank(self, request: Request) -> Answer:
        body = {"model": self._model, "query": request.query, "documents": request.texts, "raw_scores": True}
        reply = await self._post("/rerank", body)
        logits = np.empty(len(request.texts), np.float32)
        for result in reply["results"]:
            logits[result["index"]] = result["relevance_score"]
        return logits

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        connection = await self._connection()
        reply = await connection.post(path, json.dumps(body).encode())
        self._idle.append(connection)
        return json.loads(reply)

    async def _connection(self) -> "HttpConnection":
        """An idle one that the server has not closed meanwhile, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return await HttpConnection.open(self._port)


class HttpConnection:
    """Just enough HTTP/1.1 for one server that always sends content-length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "HttpConnection":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 24))

    async def post(self, path: str, body: bytes) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        self._writer.write(f"{head}\r\n\r\n".encode() + body)
        status, *headers = (await self._reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(int(header.split(b":")[1]) for header in headers if header.startswith(b"content-length:"))
        reply = await self._reader.readexactly(length)
        if b" 200 " not in status:
            raise RuntimeError(f"{path}: {status!r} {reply[:200]!r}")
        return reply

    @property
    def closed(self) -> bool:
        return self._reader.at_eof()

    def close(self) -> None:
        self._writer.close()
