"""Whether the gateway can answer: it asks its parts every few seconds and tells the health service."""

import asyncio
import logging

from gateway.clients import EmbedClient, RerankClient
from gateway.recall.redis_index import RedisIndex
from gateway.recall.registry import Registry
from gateway.settings import GatewaySettings
from serving.errors import SiftlineError
from serving.health import Health

log = logging.getLogger(__name__)


class Readiness:
    """Ready means: the index answers and the embed service does, or did once where words may stand in for vectors.

    The rerank service may be down: a search does without.
    """

    def __init__(
        self,
        health: Health,
        embed: EmbedClient,
        rerank: RerankClient | None,
        index: RedisIndex,
        registry: Registry,
        settings: GatewaySettings,
    ) -> None:
        self._health = health
        self._embed = embed
        self._rerank = rerank
        self._index = index
        self._registry = registry
        self._period_s = settings.model_refresh_s
        self._words_instead = settings.words_instead
        self._has_embedded = False

    async def run(self) -> None:
        """For ever. Impatient until first ready, then once a period; prepares the index each time it comes back."""
        while True:
            was = self._health.serving
            now = await self._look()
            if now:
                await self._prepare(came_back=not was)
            await self._health.set_serving(now)
            if now != was:
                log.info("gateway is %s", "ready" if now else "not ready")
            await asyncio.sleep(self._period_s if now else min(0.2, self._period_s))

    async def _look(self) -> bool:
        embed, index, _ = await asyncio.gather(self._embed.is_ready(), self._index.is_ready(), self._look_at_rerank())
        self._has_embedded |= embed
        return index and (embed or (self._words_instead and self._has_embedded))

    async def _look_at_rerank(self) -> bool:
        return self._rerank is None or await self._rerank.is_ready()

    async def _prepare(self, *, came_back: bool) -> None:
        if came_back:
            await self._index.fail_late_searches()
        try:
            await self._registry.sweep()
        except SiftlineError as error:
            log.warning("dropped collections are not swept yet: %s", error)
