"""The buckets that all gateways share, in Redis: one script for a call, so that none is let in on half of it."""

import hashlib
from collections.abc import Sequence

from gateway.quota.limits import Charge, Refused
from gateway.redis_url import connect

# By Redis's own clock. ARGV: of each bucket the cost and the window, in seconds.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local after = {}
for i, key in ipairs(KEYS) do
    local cost, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    after[i] = math.max(tonumber(redis.call('GET', key) or '0'), now) + cost
    local wait = after[i] - now - math.max(window, cost)
    if wait > 1e-4 then return {i, tostring(wait)} end
end
for i, key in ipairs(KEYS) do
    if after[i] > now then
        redis.call('SET', key, string.format('%.6f', after[i]), 'PX', math.ceil((after[i] - now) * 1000))
    end
end
return {0, '0'}
"""
_CORRECT = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local after = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + tonumber(ARGV[1])
if after <= now then return redis.call('DEL', KEYS[1]) end
return redis.call('SET', KEYS[1], string.format('%.6f', after), 'PX', math.ceil((after - now) * 1000))
"""


class RedisBuckets:
    """As Buckets; both calls may raise what redis raises. Raises ValueError for a URL that is none."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._redis = connect(url, timeout_s)
        self._take = self._redis.register_script(_TAKE)
        self._correct = self._redis.register_script(_CORRECT)

    async def take(self, name: str, charges: Sequence[Charge]) -> Refused | None:
        numbers = [number for charge in charges for number in (charge.cost, charge.window)]
        which, wait = await self._take(keys=[_key(name, charge.kind) for charge in charges], args=numbers)
        return Refused(charges[which - 1].kind, float(wait)) if which else None

    async def correct(self, name: str, charge: Charge) -> None:
        await self._correct(keys=[_key(name, charge.kind)], args=[charge.cost])

    async def aclose(self) -> None:
        await self._redis.aclose()


def _key(name: str, kind: str) -> str:
    """The braces keep both buckets of a key on one node of a cluster."""
    digest = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    return f"siftline:quota:{{{digest}}}:{kind}"
