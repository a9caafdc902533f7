"""A gateway beside the first one, and what is done to it alone: its clock jumps, certificates end."""

import asyncio
import os
import sysconfig
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import trustme

from tests.faults.catalogue import Strike
from tests.faults.load import Load
from tests.faults.system import System
from tests.running import gateway as gateways
from tests.running import model_service
from tests.running.certificates import Files, local
from tests.running.model_service import RunningService, free_port
from tests.running.proxy import Proxy

LIBFAKETIME = next(Path(sysconfig.get_path("purelib")).glob("libfaketime/**/libfaketime.so.1"))
LIFE_SECONDS = 3.0  # of a certificate that is to end
ENDS = 'siftline_tls_expiry_timestamp_seconds{use="server"}'


@asynccontextmanager
async def gateway(
    folder: Path, *flags: str, health: str = "", environment: Mapping[str, str] | None = None
) -> AsyncIterator[RunningService]:
    """Ready in the block, gone after it; `health` is where to ask for its health when it speaks TLS."""
    second = gateways.start(folder, *flags, environment=environment)
    try:
        asked = replace(second, address=health or second.address)
        await asyncio.to_thread(asked.wait_until, True, gateways.READY_SECONDS)
        yield second
    finally:
        second.process.terminate()
        await asyncio.to_thread(second.process.wait, 60)


@contextmanager
def secure_service(name: str, model: Path, folder: Path, own: Files) -> Iterator[RunningService]:
    """`services.NAME` over TLS."""
    flags, health = (f"--tls-cert={own.cert}", f"--tls-key={own.key}"), f"127.0.0.1:{free_port()}"
    with model_service.running(f"services.{name}", model, folder, *flags, health=health) as service:
        yield service


@asynccontextmanager
async def line(service: RunningService) -> AsyncIterator[Proxy]:
    """A line to the service that can be cut."""
    proxy = Proxy(int(service.address.rpartition(":")[2]))
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


class Clock:
    """Of a process with this environment. Its monotonic clock stays as it is."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.write_text("+0")
        faked = {"LD_PRELOAD": str(LIBFAKETIME), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"}
        self.environment = os.environ | faked | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def jumps(self, jump: str) -> Strike:
        @asynccontextmanager
        async def strike(_: System, __: Load) -> AsyncIterator[None]:
            self._file.write_text(jump)
            yield

        return strike


def certificate_ends(servers: Sequence[RunningService], own: Files, authority: trustme.CA, *lines: Proxy) -> Strike:
    """The servers' certificate ends, and connections over `lines` with it; then another is put in its place."""

    async def break_connections() -> None:
        for each in lines:
            await each.cut()
            each.mend()

    @asynccontextmanager
    async def strike(_: System, __: Load) -> AsyncIterator[None]:
        while (left := await asyncio.to_thread(_longest, servers)) > 2 * LIFE_SECONDS:
            own.identify(local(authority, LIFE_SECONDS))
            await asyncio.sleep(LIFE_SECONDS / 3)
            await break_connections()  # certificates are looked at when somebody connects
            await asyncio.sleep(0.2)
        await asyncio.sleep(left)
        await break_connections()
        try:
            yield
        finally:
            own.identify(local(authority))

    return strike


def _longest(servers: Sequence[RunningService]) -> float:
    """Seconds that the certificate of one of them still lasts."""
    return max(gateways.metric(server, ENDS) for server in servers) - time.time()
