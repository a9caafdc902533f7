"""Quotas as calls meet them: charged before, corrected after; by each gateway alone while Redis does not answer."""

import asyncio
import logging
from typing import Any, Literal

from gateway import metrics
from gateway.breaker import Breaker
from gateway.caller import Caller
from gateway.estimate import BYTES_PER_TOKEN
from gateway.quota.buckets import Buckets
from gateway.quota.limits import Refused
from gateway.quota.redis_buckets import RedisBuckets
from gateway.redis_url import FAILURES
from serving import tracing
from serving.errors import QuotaExceeded

log = logging.getLogger(__name__)

_TIMEOUT_S = 0.1


class Quota:
    """Without a `url` each gateway counts for itself. Raises ValueError for one that is none."""

    def __init__(self, url: str) -> None:
        self._shared = RedisBuckets(url, _TIMEOUT_S) if url else None
        self._own = Buckets()
        self._breaker = Breaker()
        self._corrections: set[asyncio.Task[None]] = set()

    async def charge(self, caller: Caller, message_bytes: int) -> int:
        """The tokens that were charged for. Raises QuotaExceeded, with the seconds after which there is enough."""
        tokens = message_bytes // BYTES_PER_TOKEN
        refused: Refused | None = await self._ask("take", caller.name, caller.limits.charges(tokens))
        if refused is not None:
            metrics.QUOTA_REFUSED.labels(refused.kind).inc()
            raise QuotaExceeded(f"the API key's quota of {refused.kind} is used up", retry_after=refused.wait)
        return tokens

    def correct(self, caller: Caller, charged: int) -> None:
        """Charges what was computed instead of what was expected, and returns at once."""
        if not caller.limits.tokens_per_minute or caller.tokens == charged:
            return
        charge = caller.limits.tokens(caller.tokens - charged)
        task = asyncio.create_task(self._ask("correct", caller.name, charge))
        self._corrections.add(task)
        task.add_done_callback(self._corrections.discard)

    async def aclose(self) -> None:
        await asyncio.gather(*self._corrections)
        if self._shared is not None:
            await self._shared.aclose()

    async def _ask(self, operation: Literal["take", "correct"], *arguments: Any) -> Any:
        if self._shared is not None:
            if self._breaker.allows():
                try:
                    with tracing.span(f"quota {operation}"):
                        async with asyncio.timeout(_TIMEOUT_S):
                            answer = await getattr(self._shared, operation)(*arguments)
                except FAILURES as error:
                    if self._breaker.failed():
                        log.warning("quotas: Redis fails (%s), counting here meanwhile", type(error).__name__)
                else:
                    self._breaker.succeeded()
                    return answer
            metrics.QUOTA_ALONE.inc()
        return getattr(self._own, operation)(*arguments)
