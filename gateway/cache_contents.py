"""What the embedding cache holds, by model: counted, and removed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.cache_connection import CacheConnection
from gateway.embedding_key import fingerprint_of, prefix_of
from gateway.redis_url import FAILURES
from serving.errors import DeadlineExceeded, Unavailable

_PAGE = 1000


class CacheContents:
    """Goes through all keys, in pages, with a connection of its own: searches do not wait for it."""

    def __init__(self, url: str) -> None:
        self._redis = CacheConnection(url)

    async def sizes(self, timeout_s: float) -> dict[str, tuple[int, int]]:
        """Entries and bytes of values by the first characters of the fingerprint. Raises Unavailable."""
        found: dict[str, tuple[int, int]] = {}
        async with _answering(timeout_s):
            async for page in self._pages(""):
                pipeline = self._redis.pipeline()
                for key in page:
                    pipeline.strlen(key)
                for key, size in zip(page, await pipeline.execute(), strict=True):
                    entries, total = found.get(fingerprint_of(key), (0, 0))
                    found[fingerprint_of(key)] = entries + 1, total + size
        return found

    async def remove(self, fingerprint: str, timeout_s: float) -> int:
        """How many entries of the model, of all models when empty, there were. Raises Unavailable."""
        removed = 0
        async with _answering(timeout_s):
            async for page in self._pages(fingerprint):
                pipeline = self._redis.pipeline()
                for key in page:
                    pipeline.unlink(key)
                removed += sum(await pipeline.execute())
        return removed

    async def aclose(self) -> None:
        await self._redis.aclose()

    async def _pages(self, fingerprint: str) -> AsyncIterator[list[bytes]]:
        page: list[bytes] = []
        async for key in self._redis.scan(prefix_of(fingerprint) + b"*", _PAGE):
            page.append(key)
            if len(page) == _PAGE:
                yield page
                page = []
        if page:
            yield page


@asynccontextmanager
async def _answering(timeout_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise DeadlineExceeded("cache: not all of it was seen in time") from error
    except FAILURES as error:
        raise Unavailable(f"cache: can't be reached ({type(error).__name__})") from error
