"""What every call of a caller goes through, over gRPC or HTTP, around the servicer: its quotas, the audit log."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import ServiceDescriptor

from gateway.audit import Audit
from gateway.auth.scopes import NEEDED, Scope
from gateway.caller import CALLER, Caller
from gateway.deadline import Deadline
from gateway.patience import patiently
from gateway.quota.quota import Quota

S = TypeVar("S")
Behaviour = Callable[[Any, Any], Awaitable[Any]]

_STREAM_S = 3600.0


def guarded(servicer: S, service: ServiceDescriptor, quota: Quota, audit: Audit | None) -> S:
    """The servicer with its methods behind the quotas of their callers; what writes is recorded, if at all."""
    return cast(S, _Guarded(servicer, service, quota, audit))


class _Guarded:
    def __init__(self, servicer: Any, service: ServiceDescriptor, quota: Quota, audit: Audit | None) -> None:
        for method in service.methods:
            wrap = _stream if method.client_streaming else _unary
            behaviour = wrap(getattr(servicer, method.name), quota)
            name = f"/{service.full_name}/{method.name}"
            if audit is not None and NEEDED[name] in (Scope.WRITE, Scope.ADMIN):
                behaviour = audit.around(name, behaviour)
            setattr(self, method.name, behaviour)
        if hasattr(servicer, "known_model"):  # no call: it costs nobody anything
            self.known_model = servicer.known_model


def _unary(behaviour: Behaviour, quota: Quota) -> Behaviour:
    async def call(request: Any, context: Any) -> Any:
        caller = CALLER.get()
        if not caller.limits:
            return await behaviour(request, context)
        charged = await quota.charge(caller, request.ByteSize())
        try:
            return await behaviour(request, context)
        finally:
            quota.correct(caller, charged)

    return call


def _stream(behaviour: Behaviour, quota: Quota) -> Behaviour:
    """Each message counts as a request. Its client is not refused in mid-stream, it is slowed down."""

    async def call(requests: Any, context: Any) -> Any:
        caller = CALLER.get()
        if not caller.limits:
            return await behaviour(requests, context)
        paced = _Paced(requests, caller, quota, Deadline.of(context, _STREAM_S))
        try:
            return await behaviour(aiter(paced), context)
        finally:
            quota.correct(caller, paced.charged)

    return call


class _Paced:
    """The messages, each when there is quota for it."""

    def __init__(self, requests: AsyncIterator[Any], caller: Caller, quota: Quota, deadline: Deadline) -> None:
        self._requests = requests
        self._caller = caller
        self._quota = quota
        self._deadline = deadline
        self.charged = 0

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for request in self._requests:
            size = request.ByteSize()
            charging = patiently(lambda size=size: self._quota.charge(self._caller, size), _STREAM_S, self._deadline)  # type: ignore[misc]
            self.charged += await charging
            yield request
