"""The models that a service serves: one, or during a rollout two; and which of them answers a call."""

import asyncio
import logging
import time
import zlib
from collections import Counter
from typing import Any, Generic, Protocol, TypeVar

from serving.errors import SiftlineError, Unavailable
from serving.model_runtime import ModelRuntime
from serving.rollout.trial import Trial

log = logging.getLogger(__name__)

# The shadow takes what the engine has left: one call at a time, in the bulk lane.
SHADOW_SECONDS = 10.0
PRIORITY_BULK = 2
NOT_HERE = "MODEL_NOT_HERE"


class Version(Protocol):
    """One model of a service, with all that turns a request into a reply."""

    runtime: ModelRuntime

    async def answer(self, request: Any, deadline: float | None) -> Any:
        """The reply; `deadline` in time.monotonic seconds. Raises SiftlineError."""

    async def canary(self, other: "Any | None", *, parity: bool) -> float | None:
        """Computes texts whose answers are known. Returns the agreement with the `other` model, None where the two
        can't be compared. Raises serving.rollout.verification.Refuted for answers that are wrong."""

    def close(self) -> None: ...


V = TypeVar("V", bound=Version)


class Versions(Generic[V]):
    """`current` answers calls that name no model. `other`, during a rollout, answers the share `weight` of them, or
    looks on; and whoever names it."""

    def __init__(self, current: V) -> None:
        self.current = current
        self.other: V | None = None
        self.weight = 0.0
        self.shadowing = False
        self.trial = Trial()
        self._under_way: Counter[V] = Counter()
        self._shadow: asyncio.Task[None] | None = None

    def named(self, fingerprint: str) -> V:
        """The model with this fingerprint, the current one for an empty one. Raises Unavailable(MODEL_NOT_HERE)."""
        for version in (self.current, self.other):
            if version is not None and fingerprint in ("", version.runtime.fingerprint):
                return version
        raise Unavailable(f"fingerprint: no model {fingerprint!r:.40} is loaded here", reason=NOT_HERE)

    async def answer(self, request: Any, deadline: float | None, key: str = "") -> Any:
        """By the model that the request names; else by one of the two, the same one for the same `key`."""
        named = self.named(request.fingerprint)
        if not request.fingerprint and self.other is not None and place(key) < self.weight:
            return await self._tried(self.other, self.current, request, deadline)
        started = time.perf_counter()
        reply = await self._by(named, request, deadline)
        if named is not self.current:
            return reply
        if self.shadowing:
            self._look_on(request, reply)
        elif self.weight:
            self.trial.old.answered(time.perf_counter() - started)
        return reply

    async def idle(self, version: V, seconds: float) -> None:
        """Returns when no call is with a version any more, or after so long."""
        deadline = time.monotonic() + seconds
        while self._under_way[version] and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        del self._under_way[version]

    async def _by(self, version: V, request: Any, deadline: float | None) -> Any:
        self._under_way[version] += 1
        try:
            return await version.answer(request, deadline)
        finally:
            self._under_way[version] -= 1

    async def _tried(self, new: V, old: V, request: Any, deadline: float | None) -> Any:
        """By the new model in half of the time that there is; what it can't answer in it, the old one does."""
        started, trial = time.perf_counter(), self.trial
        now = time.monotonic()
        half = None if deadline is None else now + (deadline - now) / 2
        try:
            reply = await self._by(new, request, half)
        except Exception as error:
            reply = await self._by(old, request, deadline)  # fails too when the call is at fault: then it says nothing
            trial.new.failed()
            log.warning("%s failed where %s did not: %s", new.runtime.fingerprint, old.runtime.fingerprint, error)
            return reply
        trial.new.answered(time.perf_counter() - started)
        return reply

    def _look_on(self, request: Any, reply: Any) -> None:
        if self.other is None or (self._shadow is not None and not self._shadow.done()):
            return
        copy = type(request)()
        copy.CopyFrom(request)
        copy.priority = PRIORITY_BULK
        self._shadow = asyncio.create_task(self._compare(self.other, copy, reply), name="shadow")

    async def _compare(self, new: V, request: Any, reply: Any) -> None:
        """Has the new model compute what the old one has answered."""
        trial = self.trial
        try:
            shadow = await self._by(new, request, time.monotonic() + SHADOW_SECONDS)
        except SiftlineError as error:
            trial.new.failed()
            log.warning("in the shadow, %s: %s", new.runtime.fingerprint, error)
        except Exception:
            trial.new.failed()
            log.exception("in the shadow, %s", new.runtime.fingerprint)
        else:
            trial.old.answered(reply.timings.compute_us / 1e6)
            trial.new.answered(shadow.timings.compute_us / 1e6)


def place(key: str) -> float:
    """Where a key lies between 0 and 1: the same in every process, so that all replicas choose alike."""
    return zlib.crc32(key.encode()) / 2**32
