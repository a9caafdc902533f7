"""A client that only moves bytes: connections kept alive, JSON there and back."""

import asyncio
import json
from typing import Any


class HttpConnections:
    """As many to one port of this machine as there are requests in flight."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[HttpConnection] = []

    async def open(self) -> None:
        """One, to see whether the server is there. Raises ConnectionRefusedError."""
        self._idle.append(await HttpConnection.open(self._port))

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        connection = await self._connection()
        reply = await connection.post(path, json.dumps(body).encode())
        self._idle.append(connection)
        return json.loads(reply)

    def close(self) -> None:
        for connection in self._idle:
            connection.close()

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
