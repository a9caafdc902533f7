"""One rollout at a time, carried out by the service itself: whoever asked for it may go."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Generic

from google.protobuf import json_format

from serving import served_model
from serving.batching import OutOfMemory
from serving.errors import FailedPrecondition, InvalidArgument, NotFound, SiftlineError, StartupError
from serving.health import Health
from serving.rollout import metrics
from serving.rollout.plan import Plan
from serving.rollout.record import Record
from serving.rollout.trial import Trial
from serving.rollout.verification import Refuted
from serving.rollout.versions import V, Versions
from siftline.rollout.v1 import rollout_pb2 as pb

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
DRAIN_SECONDS = 30.0
_UNDER_WAY = (pb.PHASE_LOADING, pb.PHASE_VERIFYING, pb.PHASE_SHADOWING, pb.PHASE_SHIFTING)
_TWO_FOR_GOOD = (pb.PHASE_WAITING, pb.PHASE_PROMOTED)


class Rollout(Generic[V]):
    """`load` starts the model of a folder, with an engine of its own. `splits` says whether callers may get the one
    model's answer or the other's: scores yes, vectors no, because vectors of two models must not meet."""

    def __init__(
        self,
        versions: Versions[V],
        record: Record,
        file: Path,
        health: Health,
        load: Callable[[Path], Awaitable[V]],
        *,
        splits: bool,
    ) -> None:
        self._versions = versions
        self._record = record
        self._file = file
        self._health = health
        self._load = load
        self._splits = splits
        self._task: asyncio.Task[None] | None = None
        self._plan = Plan()
        self._state = pb.Rollout(service=versions.current.runtime.model.task)

    @property
    def state(self) -> pb.Rollout:
        """How things stand, as a message of its own."""
        state = pb.Rollout()
        state.CopyFrom(self._state)
        state.weight = self._versions.weight
        state.old_tally.CopyFrom(self._versions.trial.old.message())
        state.new_tally.CopyFrom(self._versions.trial.new.message())
        return state

    async def resume(self) -> None:
        """After a start: what was being tried is taken back; two models that both served do so again."""
        if not self._record.rollout:
            return
        json_format.Parse(self._record.rollout, self._state)
        self._plan = Plan.of(self._state.plan)
        if self._state.phase in _UNDER_WAY:
            self._state.reason = "the service was started again meanwhile"
            self._enter(pb.PHASE_ROLLED_BACK)
            metrics.ROLLED_BACK.inc()
        elif self._state.phase == pb.PHASE_PROMOTED and self._splits:
            self._record = self._record.model_copy(update={"other": ""})
            self._enter(pb.PHASE_DONE)
        elif self._state.phase in _TWO_FOR_GOOD:
            self._versions.other = await self._load(Path(self._record.other))
            metrics.show(self._state.phase, 0.0)

    async def start(self, folder: Path, plan: Plan) -> None:
        """Begins. The same folder again changes nothing. Raises NotFound, InvalidArgument, FailedPrecondition."""
        if str(folder) == self._record.current and not self._busy:
            self._state = pb.Rollout(
                service=self._state.service,
                model=folder.name,
                new_fingerprint=self._versions.current.runtime.fingerprint,
                phase=pb.PHASE_DONE,
            )
            return
        if self._busy:
            if folder.name == self._state.model:
                return
            raise FailedPrecondition(f"model {self._state.model!r} is being rolled out; finish or abort that first")
        _check(folder, self._versions.current.runtime.model.task)
        self._plan = plan
        self._state = pb.Rollout(
            service=self._state.service,
            model=folder.name,
            plan=plan.message(),
            old_fingerprint=self._versions.current.runtime.fingerprint,
        )
        self._enter(pb.PHASE_LOADING)
        self._go(self._try(folder))

    async def promote(self) -> None:
        """Raises FailedPrecondition."""
        if self._state.phase != pb.PHASE_PROMOTED:
            self._require(pb.PHASE_WAITING)
            await self._promote()

    def finish(self) -> None:
        """Raises FailedPrecondition."""
        if self._state.phase != pb.PHASE_DONE:
            self._require(pb.PHASE_PROMOTED)
            if self._task is None or self._task.done():
                self._go(self._retire())

    async def abort(self, reason: str) -> None:
        """Raises FailedPrecondition once the new model has been promoted."""
        if self._state.phase == pb.PHASE_ROLLED_BACK:
            return
        if self._state.phase not in (*_UNDER_WAY, pb.PHASE_WAITING):
            raise FailedPrecondition("no rollout is under way that could be aborted", reason="WRONG_PHASE")
        await self._end_task()
        await self._take_back(reason or "aborted")

    async def close(self) -> None:
        await self._end_task()
        if self._versions.other is not None:
            await _stop(self._versions.other)

    @property
    def _busy(self) -> bool:
        return self._state.phase in (*_UNDER_WAY, *_TWO_FOR_GOOD)

    def _require(self, phase: "pb.Phase") -> None:
        if self._state.phase != phase:
            now, needed = (pb.Phase.Name(each).removeprefix("PHASE_") for each in (self._state.phase, phase))
            raise FailedPrecondition(f"the rollout is {now}, not {needed}", reason="WRONG_PHASE")

    def _go(self, work: Coroutine[None, None, None]) -> None:
        self._task = asyncio.create_task(work)

    async def _end_task(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _try(self, folder: Path) -> None:
        versions = self._versions
        try:
            new = await self._load(folder)
            versions.other = new
            self._state.new_fingerprint = new.runtime.fingerprint
            if new.runtime.fingerprint == versions.current.runtime.fingerprint:
                raise Refuted("it is the model in service: both have the same fingerprint")
            self._enter(pb.PHASE_VERIFYING)
            await self._verify(new)
            await self._shadow()
            if self._splits:
                await self._shift(new)
        except (Refuted, StartupError, SiftlineError, OutOfMemory) as error:
            await self._take_back(str(error))
        except Exception as error:
            log.exception("rollout of %s", folder)
            await self._take_back(f"internal error: {type(error).__name__}")
        else:
            await self._take_in(folder)

    async def _take_in(self, folder: Path) -> None:
        self._record = self._record.model_copy(update={"other": str(folder)})
        if self._splits:
            await self._promote()
            await self._retire()
        else:
            self._enter(pb.PHASE_WAITING)

    async def _verify(self, new: V) -> None:
        agreement = await new.canary(self._versions.current, parity=self._plan.parity)
        if agreement is not None:
            self._state.agreement = agreement

    async def _shadow(self) -> None:
        """Until enough was seen; a service that nobody asks has shown nothing against the model."""
        self._enter(pb.PHASE_SHADOWING)
        versions = self._versions
        versions.trial, versions.shadowing = Trial(), True
        try:
            await self._watch(self._plan.shadow_seconds, lambda: versions.trial.new.calls >= self._plan.shadow_calls)
        finally:
            versions.shadowing = False

    async def _shift(self, new: V) -> None:
        for weight in self._plan.steps:
            self._versions.trial, self._versions.weight = Trial(), weight
            self._enter(pb.PHASE_SHIFTING)
            await self._watch(self._plan.step_seconds, lambda: False)
            await self._verify(new)

    async def _watch(self, seconds: float, enough: Callable[[], bool]) -> None:
        """Raises Refuted as soon as there is an objection."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not enough():
            await asyncio.sleep(LOOK_SECONDS)
            if objection := self._versions.trial.objection(self._plan):
                raise Refuted(f"{pb.Phase.Name(self._state.phase)} at weight {self._versions.weight}: {objection}")

    async def _promote(self) -> None:
        versions = self._versions
        assert versions.other is not None
        old, new = versions.current, versions.other
        versions.current, versions.other, versions.weight = new, old, 0.0
        self._record = self._record.model_copy(update={"current": self._record.other, "other": self._record.current})
        self._enter(pb.PHASE_PROMOTED)
        await old.runtime.report_to(None)
        await new.runtime.report_to(self._health)

    async def _retire(self) -> None:
        """Unloads the old model once nobody can be on the way to it any more."""
        await asyncio.sleep(self._plan.linger_seconds)
        await self._unload()
        self._enter(pb.PHASE_DONE)

    async def _take_back(self, reason: str) -> None:
        log.error("the rollout of %s is taken back: %s", self._state.model, reason)
        self._state.reason = reason
        self._versions.weight, self._versions.shadowing = 0.0, False
        await self._unload()
        self._enter(pb.PHASE_ROLLED_BACK)
        metrics.ROLLED_BACK.inc()

    async def _unload(self) -> None:
        leaving, self._versions.other = self._versions.other, None
        self._record = self._record.model_copy(update={"other": ""})
        if leaving is not None:
            await self._versions.idle(leaving, DRAIN_SECONDS)
            if leaving.runtime.fingerprint != self._versions.current.runtime.fingerprint:
                leaving.runtime.forget()
            await _stop(leaving)

    def _enter(self, phase: "pb.Phase") -> None:
        self._state.phase = phase
        self._record = self._record.model_copy(update={"rollout": json_format.MessageToJson(self._state, indent=None)})
        self._record.write(self._file)
        metrics.show(phase, self._versions.weight)
        log.info("rollout of %s: %s, weight %s", self._state.model, pb.Phase.Name(phase), self._versions.weight)


async def _stop(version: V) -> None:
    await version.runtime.stop()
    version.close()


def _check(folder: Path, task: str) -> None:
    try:
        model = served_model.load(folder)
    except OSError as error:
        raise NotFound(f"model: {folder.name!r} is no exported model in this service's rollout_dir") from error
    except ValueError as error:
        raise InvalidArgument(
            "model", f"{served_model.MODEL_FILE} of {folder.name!r} is not of this version"
        ) from error
    if model.task != task:
        raise InvalidArgument("model", f"{folder.name!r} is for {model.task}; this is the {task} service")
