"""A rollout as seen from outside: the same model on every replica of a service, then the collections, then the end.

What is under way is kept by the services and by the gateway. Whoever drives may be killed and start again.
"""

import time
from collections.abc import Callable, Sequence

import grpc

from siftline.client import Client
from siftline.errors import SiftlineError
from siftline.replicas import Replica, describe
from siftline.rollout.v1 import rollout_pb2 as pb

LOOK_SECONDS = 0.5
REINDEX_SECONDS = 3600.0
REINDEX_ATTEMPTS = 20
_PASSING = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)

Report = Callable[[str], None]


class TakenBack(SiftlineError):
    """The new model was not good enough; the old one is in service."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, code=grpc.StatusCode.ABORTED, reason="TAKEN_BACK")


def roll_out(replicas: Sequence[Replica], gateway: Client | None, model: str, plan: pb.Plan, report: Report) -> None:
    """Returns when every replica has the new model and nothing else. Raises TakenBack, SiftlineError.

    `gateway` is for an embed service: its collections are built anew. Of a reranker nothing is kept: there is none.
    """
    try:
        for replica in replicas:
            replica.start(model, plan)
    except SiftlineError as error:
        abort(replicas, f"{replica.address}: {error}")
        raise
    if gateway is None:
        _until(replicas, (pb.PHASE_DONE,), report)
        return
    states = _until(replicas, (pb.PHASE_WAITING, pb.PHASE_PROMOTED, pb.PHASE_DONE), report)
    if any(state.phase != pb.PHASE_DONE for state in states):
        _move(replicas, gateway, next(state for state in states if state.phase != pb.PHASE_DONE), report)
        _until(replicas, (pb.PHASE_DONE,), report)


def abort(replicas: Sequence[Replica], reason: str) -> None:
    """On every replica where it is not too late."""
    for replica in replicas:
        try:
            replica.abort(reason)
        except SiftlineError as error:
            if error.code != grpc.StatusCode.FAILED_PRECONDITION:
                raise


def _until(replicas: Sequence[Replica], phases: Sequence[int], report: Report) -> list[pb.Rollout]:
    """The states, once each replica is in one of the phases. Raises TakenBack, and takes back the others."""
    told: dict[str, str] = {}
    while True:
        states = [_patiently(replica.state) for replica in replicas]
        for replica, state in zip(replicas, states, strict=True):
            if told.get(replica.address) != (line := describe(state)):
                report(f"{replica.address}: {line}")
            told[replica.address] = line
            if state.phase in (pb.PHASE_ROLLED_BACK, pb.PHASE_UNSPECIFIED):
                reason = f"{replica.address}: {state.reason or 'no rollout is under way there any more'}"
                abort(replicas, reason)
                raise TakenBack(reason)
        if all(state.phase in phases for state in states):
            return states
        time.sleep(LOOK_SECONDS)


def _move(replicas: Sequence[Replica], gateway: Client, state: pb.Rollout, report: Report) -> None:
    """Collections to the new model; then the new model for those who name none; then what was created meanwhile."""
    old, new = state.old_fingerprint, state.new_fingerprint
    try:
        _reindex(gateway, old, new, report)
    except SiftlineError as error:
        report(f"collections cannot be rebuilt ({error}); back to the old model")
        _reindex(gateway, new, old, report)
        abort(replicas, f"collections could not be rebuilt: {error}")
        raise TakenBack(str(error)) from error
    for replica in replicas:
        if _patiently(replica.state).phase == pb.PHASE_WAITING:
            replica.promote()
    _reindex(gateway, old, new, report)
    for replica in replicas:
        if _patiently(replica.state).phase == pb.PHASE_PROMOTED:
            replica.finish()


def _reindex(gateway: Client, old: str, new: str, report: Report) -> None:
    """All collections of the one model to the other. What has passed is done; an interrupted rest is tried again."""
    patient = gateway.with_timeout(REINDEX_SECONDS)
    for attempt in range(1, REINDEX_ATTEMPTS + 1):
        try:
            done = patient.reindex_all(old, new)
        except SiftlineError as error:
            busy = error.code == grpc.StatusCode.FAILED_PRECONDITION and error.reason == "REBUILDING"
            if not (busy or error.code in _PASSING) or attempt == REINDEX_ATTEMPTS:
                raise
            report(f"collections: {error}; trying again")
            time.sleep(attempt)
        else:
            report(f"collections: {done.collections} rebuilt, {done.documents} documents, {done.tokens} tokens")
            return


def _patiently(ask: Callable[[], pb.Rollout]) -> pb.Rollout:
    """A replica that restarts comes back and knows where it was; for a minute nothing is concluded from silence."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return ask()
        except SiftlineError as error:
            if error.code not in _PASSING or time.monotonic() > deadline:
                raise
            time.sleep(LOOK_SECONDS)
