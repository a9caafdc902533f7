"""TLS between all parts, with real certificates: client, gateway process, services, Redis; each proves who it is."""

import asyncio
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import pytest
import trustme

import siftline
from serving.settings import ServerSettings
from serving.tls import server_credentials
from tests.fakes.services import FakeEmbed, FakeRerank, FakeServer
from tests.running import certificates
from tests.running import gateway as gateway_process
from tests.running.certificates import Files, local
from tests.running.model_service import RunningService, free_port
from tests.running.redis_server import RedisServer
from tests.running.tls_proxy import tls_in_front_of
from tests.running.waiting import until

REFUSED = "(?i)ssl|certificate|reset|closed"


def flags(files: Files, prefix: str = "") -> tuple[str, ...]:
    trusted = f"--{prefix}tls-ca" if prefix else "--tls-client-ca"
    return (f"{trusted}={files.ca}", f"--{prefix}tls-cert={files.cert}", f"--{prefix}tls-key={files.key}")


@asynccontextmanager
async def stopped(process: RunningService) -> AsyncIterator[RunningService]:
    try:
        yield process
    finally:
        process.process.terminate()
        await asyncio.to_thread(process.process.wait, 30)  # its connections end here, in this event loop


@dataclass
class Secured:
    """A gateway process that speaks TLS in all directions, and the files of its parts."""

    process: RunningService
    http: str
    authority: trustme.CA
    server: Files
    caller: Files

    def client(self, tls: siftline.TLS | None) -> siftline.AsyncClient:
        return siftline.AsyncClient(self.process.address, tls=tls, timeout=20)

    async def ask(self, tls: siftline.TLS | None) -> None:
        async with self.client(tls) as client:
            await client.embed(["a"])

    async def http_status(self, tls: siftline.TLS) -> int:
        """Of our own API's /health over HTTPS, on a connection of its own."""
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)

        def ask() -> int:
            with urllib.request.urlopen(f"https://{self.http}/health", context=context, timeout=10) as reply:
                return int(reply.status)

        return await asyncio.to_thread(ask)

    async def refusal(self, tls: siftline.TLS | None) -> str:
        with pytest.raises(siftline.SiftlineError) as caught:
            await self.ask(tls)
        assert caught.value.code == grpc.StatusCode.UNAVAILABLE
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
async def secured(redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[Secured]:
    authority = trustme.CA()
    services, server, caller = (certificates.files(tmp_path / name, authority) for name in ("services", "gw", "caller"))
    known = ServerSettings(listen="", tls_cert=services.cert, tls_key=services.key, tls_client_ca=services.ca)
    embed, rerank = FakeServer(FakeEmbed()), FakeServer(FakeRerank())
    for service in (embed, rerank):
        await service.start(server_credentials(known))
    with redis_server.client as admin:
        admin.execute_command("ACL", "SETUSER", "shop", "on", ">pass word", "~*", "&*", "+@all")
    async with tls_in_front_of(redis_server.port, services) as port:
        files = f"ssl_ca_certs={caller.ca}&ssl_certfile={caller.cert}&ssl_keyfile={caller.key}"
        redis = f"rediss://shop:pass%20word@127.0.0.1:{port}/0?{files}"
        health, http = (f"127.0.0.1:{free_port()}" for _ in range(2))
        urls = (f"--cache-url={redis}", f"--index-url={redis}", f"--embed={embed.target}", f"--rerank={rerank.target}")
        every = (
            *urls,
            *flags(server),
            *flags(caller, "services-"),
            f"--health={health}",
            f"--http={http}",
            "--model-refresh-s=0.1",
            "--cache-budget-s=10",
        )
        async with stopped(gateway_process.start(tmp_path, *every)) as process:
            # Probes speak no TLS.
            probed = RunningService(health, process.metrics, process.process, process.log)
            await asyncio.to_thread(probed.wait_until, True, gateway_process.READY_SECONDS)
            yield Secured(process, http, authority, server, caller)
    await embed.stop()
    await rerank.stop()


async def test_every_connection_is_encrypted_and_both_ends_are_known(secured: Secured) -> None:
    other = certificates.files(secured.caller.folder.parent / "other", trustme.CA())
    known = secured.caller.tls
    async with secured.client(known) as client:
        await client.create_collection("c")
        await client.upsert("c", [siftline.Document("x", "apples and pears")])
        assert [hit.id for hit in (await client.search("c", "pears")).hits] == ["x"]
        assert (await client.embed_with_details(["pears"], side="query")).cached == 0
        assert (await client.embed_with_details(["pears"], side="query")).cached == 1  # through rediss://
    with siftline.Client(secured.process.address, tls=known) as blocking:
        assert len(await asyncio.to_thread(blocking.embed, ["a"])) == 1

    assert await secured.http_status(known) == 200
    for tls in (siftline.TLS(known.ca), other.tls):
        with pytest.raises(OSError, match=REFUSED):
            await secured.http_status(tls)

    assert "not from an authority that is trusted here" in await secured.refusal(other.tls)
    assert "wants a client certificate" in await secured.refusal(siftline.TLS(known.ca))
    assert "wants a client certificate" in await secured.refusal(siftline.TLS(known.ca, other.cert, other.key))
    assert "this side does not" in await secured.refusal(None)
    elsewhere = siftline.TLS(known.ca, known.cert, known.key, name="elsewhere.test")
    assert "for another host" in await secured.refusal(elsewhere)
    for use in ("server", "services"):
        series = f'siftline_tls_expiry_timestamp_seconds{{use="{use}"}}'
        assert time.time() < gateway_process.metric(secured.process, series) < time.time() + 3700

    command = (sys.executable, "-m", "siftline.cli", "status", f"--address={secured.process.address}")
    given = [f"--tls-{name}={getattr(known, name)}" for name in ("ca", "cert", "key")]
    for arguments, said in ((given, "serving"), (["--tls"], "not serving: 127.0.0.1")):
        told = await asyncio.to_thread(subprocess.run, [*command, *arguments], capture_output=True, text=True)
        assert said in told.stdout, told


async def test_certificates_and_authorities_are_replaced_under_load_and_no_call_fails(secured: Secured) -> None:
    """As an authority is rolled over: both are trusted, then all get new certificates, then the old one goes."""
    new, parts = trustme.CA(), (secured.server, secured.caller)
    newcomer = certificates.files(secured.caller.folder.parent / "newcomer", new)
    stop, calls = asyncio.Event(), 0

    async def load(fresh: bool) -> None:
        nonlocal calls
        async with secured.client(secured.caller.tls) as lasting:
            while not stop.is_set():
                await (secured.ask(secured.caller.tls) if fresh else lasting.embed(["a"]))
                assert not fresh or await secured.http_status(secured.caller.tls) == 200
                calls += 1

    async def let_in(tls: siftline.TLS) -> bool:
        return await answered(secured.ask(tls)) and await answered(secured.http_status(tls))

    loads = [asyncio.create_task(load(fresh)) for fresh in (True, True, False, False)]
    for part in parts:
        part.trust(secured.authority, new)
    both = siftline.TLS(secured.caller.ca, newcomer.cert, newcomer.key)
    await until(lambda: let_in(both))  # the gateway trusts the new authority
    for part in parts:
        part.identify(local(new))
    await until(lambda: let_in(newcomer.tls))  # the gateway has a certificate from it
    await asyncio.sleep(1.5)  # the callers' turn to look
    for part in parts:
        part.trust(new)
    old = certificates.files(secured.caller.folder.parent / "old", secured.authority)
    over_grpc, over_http = old.tls, siftline.TLS(secured.caller.ca, old.cert, old.key)
    await until(lambda: refused(secured.ask(over_grpc)))
    await until(lambda: refused(secured.http_status(over_http)))
    await until(lambda: calls > 50)
    stop.set()
    await asyncio.gather(*loads)  # raises what any of the calls raised
    await secured.refusal(over_grpc)
    with pytest.raises(OSError, match=REFUSED):
        await secured.http_status(over_http)


async def test_an_expired_certificate_is_told_and_replaced(secured: Secured) -> None:
    secured.server.identify(local(secured.authority, seconds=4))
    await until(lambda: _says(secured, "has expired"))
    before = secured.server.key.read_bytes()
    secured.server.identify(local(secured.authority))
    secured.server.key.write_bytes(before)  # only half of it has come
    await until(lambda: "key values mismatch" in secured.process.log.read_text())
    assert await _says(secured, "has expired")
    secured.server.identify(local(secured.authority))
    await until(lambda: answered(secured.ask(secured.caller.tls)))


async def test_files_are_followed_where_nobody_connects(secured: Secured) -> None:
    """Else the alert would go on after the renewal, and a refused file be told to nobody."""
    before = secured.server.key.read_bytes()
    secured.server.identify(local(secured.authority, seconds=7200))
    renewed = secured.server.key.read_bytes()
    secured.server.key.write_bytes(before)  # of the certificate that was
    await until(lambda: "key values mismatch" in secured.process.log.read_text())
    await asyncio.sleep(2.5)  # a look each second, and
    assert secured.process.log.read_text().count("key values mismatch") <= 2  # by gRPC and by HTTP, once each
    secured.server.key.write_bytes(renewed)
    series = 'siftline_tls_expiry_timestamp_seconds{use="server"}'
    renewed_until = partial(gateway_process.metric, secured.process, series)
    await until(lambda: asyncio.to_thread(lambda: renewed_until() > time.time() + 7000))


async def answered(asking: Awaitable[object]) -> bool:
    try:
        await asking
    except (siftline.SiftlineError, OSError):
        return False
    return True


async def refused(asking: Awaitable[object]) -> bool:
    return not await answered(asking)


async def _says(secured: Secured, words: str) -> bool:
    """Of a refusal."""
    try:
        await secured.ask(secured.caller.tls)
    except siftline.SiftlineError as error:
        return words in str(error)
    return False


def test_files_that_are_wrong_are_named_in_one_line(tmp_path: Path) -> None:
    authority = trustme.CA()
    good, expired = (certificates.files(tmp_path / name, authority) for name in ("good", "expired"))
    expired.identify(local(authority, seconds=-60))
    garbage, absent = tmp_path / "garbage", tmp_path / "absent"
    garbage.write_text("garbage")
    wrong = {
        (None, good.cert, None): "a certificate and its key go together",
        (absent, None, None): f"{absent}: No such file or directory",
        (garbage, None, None): f"{garbage}: no certificate",
        (None, good.cert, expired.key): "key values mismatch",
        (None, garbage, good.key): f"{garbage} with key",
        (None, expired.cert, expired.key): f"{expired.cert}: certificate has expired",
    }
    for (ca, cert, key), said in wrong.items():
        with pytest.raises(siftline.SiftlineError, match="^TLS: .*$") as caught:
            siftline.Client("127.0.0.1:1", tls=siftline.TLS(ca, cert, key))
        assert said in str(caught.value)
    refused = {
        ("--tls-client-ca", good.ca): "tls-cert: a server that is to speak TLS needs a certificate",
        ("--services-tls-cert", good.cert): "services-tls-ca: is needed",
        ("--services-tls-ca", absent): f"TLS: {absent}: No such file",
    }
    for (flag, file), said in refused.items():
        command = (sys.executable, "-m", "gateway", f"{flag}={file}", "--metrics=")
        ended = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
        assert said in ended.stderr
