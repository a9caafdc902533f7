"""A TCP proxy between two parts that can be slow, cut, or deaf."""

import asyncio
import contextlib


class Proxy:
    """Listens on a free loopback port and passes bytes on to `target`, a loopback port.

    `delay` seconds each way; `cut` refuses new connections and ends those there are; `stalled` withholds what the
    server sends, as a client that does not read.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self.accepted = 0  # connections so far
        self.delay = 0.0
        self._cut = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """From now on nothing passes; connections that there are end with a reset."""
        self._cut = True
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def mend(self) -> None:
        self._cut = False
        self.delay = 0.0
        self._flowing.set()

    def stall(self) -> None:
        self._flowing.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self._links.add(task)
        try:
            if not self._cut:
                await self._link(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(task)
            writer.transport.abort()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_connection("127.0.0.1", self._target)
        pumps = (
            asyncio.create_task(self._pump(reader, downstream)),
            asyncio.create_task(self._pump(upstream, writer, stallable=True)),
        )
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            downstream.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stallable: bool = False) -> None:
        """Each piece goes out `delay` after it came in, however many are on their way."""
        clock, under_way = asyncio.get_running_loop().time, asyncio.Queue[tuple[float, bytes]](64)

        async def send() -> None:
            while True:
                due, piece = await under_way.get()
                await asyncio.sleep(max(0.0, due - clock()))
                writer.write(piece)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()

        sender = asyncio.create_task(send())
        try:
            while piece := await reader.read(1 << 16):
                if stallable:
                    await self._flowing.wait()
                await under_way.put((clock() + self.delay, piece))
            while not under_way.empty():
                await asyncio.sleep(0.001)
        finally:
            sender.cancel()
