"""A server for code that runs in threads and in event loops alike: what the components for frameworks hold."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from siftline.client import DEFAULT_ADDRESS, DEFAULT_TIMEOUT, AsyncClient, Client
from siftline.results import Hit, SearchResult, Side

# Enough to fill the embed service's batches, few enough that each request is answered well within its deadline.
TEXTS_PER_REQUEST = 256


class Connections:
    """A blocking client, and an awaited one for each event loop that asks; made when first used.

    An AsyncClient belongs to the loop that it was made in, and a component is made before any runs.
    """

    def __init__(
        self, address: str = DEFAULT_ADDRESS, *, api_key: str | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """api_key None: SIFTLINE_API_KEY of the environment. timeout: seconds that a call may take."""
        self._address = address
        self._options: dict[str, Any] = {"api_key": api_key, "timeout": timeout}
        self._awaited: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = WeakKeyDictionary()

    @cached_property
    def blocking(self) -> Client:
        return Client(self._address, **self._options)

    @property
    def awaited(self) -> AsyncClient:
        """That of the running loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._awaited:
            self._awaited[loop] = AsyncClient(self._address, **self._options)
        return self._awaited[loop]

    def embed(self, texts: Sequence[str], side: Side) -> list[list[float]]:
        """A vector for each text, in their order, however many there are."""
        return _rows([self.blocking.embed(part, side=side) for part in _parts(texts)])

    async def embed_async(self, texts: Sequence[str], side: Side) -> list[list[float]]:
        return _rows([await self.awaited.embed(part, side=side) for part in _parts(texts)])


def facts(hit: Hit, result: SearchResult) -> dict[str, Any]:
    """What a framework's own document has no place for: metadata, title, both stages' scores, how the search went."""
    known: Mapping[str, Any] = {
        "title": hit.title or None,
        "recall_rank": hit.recall_rank,
        "recall_score": hit.recall_score,
        "rerank_score": hit.rerank_score,
        "probability": hit.probability,
        "degraded": list(result.degraded) or None,
    }
    return {**hit.metadata, **{name: value for name, value in known.items() if value is not None}}


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), TEXTS_PER_REQUEST):
        yield texts[start : start + TEXTS_PER_REQUEST]


def _rows(parts: Sequence[npt.NDArray[Any]]) -> list[list[float]]:
    rows: list[list[float]] = np.concatenate(parts).tolist() if parts else []
    return rows
