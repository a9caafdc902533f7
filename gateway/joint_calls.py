"""Small embed requests that come together go to the service together: most of what one costs is the call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gateway.deadline import Deadline
from serving import logs, tracing
from serving.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from siftline.embed.v1.embed_pb2 import EmbedRequest, EmbedResponse

Call = Callable[[EmbedRequest, Deadline], Awaitable[EmbedResponse]]

_MOST_REQUESTS = 16  # in one call
_MOST_CHARACTERS = 256  # of a request's texts: what takes long to compute would keep the others waiting


@dataclass(eq=False, slots=True)
class _Member:
    """A request; its `reply` is None when it has to be asked for alone."""

    request: EmbedRequest
    deadline: Deadline
    request_id: str
    reply: "asyncio.Future[EmbedResponse | None]"

    def resolve(self, reply: EmbedResponse | None, failure: Exception | None) -> None:
        if self.reply.done():
            return
        if failure is None:
            self.reply.set_result(reply)
        else:
            self.reply.set_exception(failure)
            self.reply.exception()  # nobody may be waiting any more


@dataclass(eq=False, slots=True)
class _Group:
    members: list[_Member] = field(default_factory=list)
    call: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> list[_Member]:
        return [member for member in self.members if not member.reply.done()]


class JointCalls:
    """Joins requests that come in one turn of the event loop and differ in nothing but their texts: nobody waits for
    others to come. What is traced goes alone, so that its trace tells of it and of nothing else.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._gathering: dict[bytes, _Group] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def embed(self, request: EmbedRequest, deadline: Deadline) -> EmbedResponse:
        """Raises what the call raises; DeadlineExceeded by the request's own deadline."""
        if tracing.current() is not None or not _small(request):
            return await self._call(request, deadline)
        seconds, group = deadline.require(), self._group(request)
        future = asyncio.get_running_loop().create_future()
        group.members.append(_Member(request, deadline, logs.request_id(), future))
        try:
            async with asyncio.timeout(seconds):
                reply = await future
        except TimeoutError as error:
            raise DeadlineExceeded("embed: the deadline passed before the vectors were there") from error
        finally:
            if group.call is not None and not group.waiting:
                group.call.cancel()
        return reply if reply is not None else await self._call(request, deadline)

    def _group(self, request: EmbedRequest) -> _Group:
        """That a request goes with."""
        key = _all_but_texts(request)
        group = self._gathering.get(key)
        if group is None or len(group.members) == _MOST_REQUESTS:
            group = self._gathering[key] = _Group()
            asyncio.get_running_loop().call_soon(self._leave, key, group)
        return group

    def _leave(self, key: bytes, group: _Group) -> None:
        if self._gathering.get(key) is group:
            del self._gathering[key]
        members = group.waiting
        if len(members) == 1:
            members[0].reply.set_result(None)
        elif members:
            group.call = asyncio.create_task(self._together(members))
            self._calls.add(group.call)
            group.call.add_done_callback(self._calls.discard)

    async def _together(self, members: Sequence[_Member]) -> None:
        """Resolves every member, whatever happens."""
        logs.join(",".join(member.request_id for member in members[1:]))
        deadline = max((member.deadline for member in members), key=lambda each: each.left)
        parts: Sequence[EmbedResponse | None] = [None] * len(members)
        failure: Exception | None = None
        try:
            parts = _split(await self._call(_joined(members), deadline), members)
        except (InvalidArgument, NotFound, FailedPrecondition):
            pass  # one of them may be at fault, and not the others
        except asyncio.CancelledError:
            for member in members:
                member.reply.cancel()
            raise
        except Exception as error:
            failure = error
        for member, part in zip(members, parts, strict=True):
            member.resolve(part, failure)


def _small(request: EmbedRequest) -> bool:
    return not request.outputs and not request.prompt_texts and sum(map(len, request.texts)) <= _MOST_CHARACTERS


def _all_but_texts(request: EmbedRequest) -> bytes:
    facts = EmbedRequest()
    facts.CopyFrom(request)
    facts.ClearField("texts")
    return facts.SerializeToString(deterministic=True)


def _joined(members: Sequence[_Member]) -> EmbedRequest:
    request = EmbedRequest()
    request.CopyFrom(members[0].request)
    for member in members[1:]:
        request.texts.extend(member.request.texts)
    return request


def _split(reply: EmbedResponse, members: Sequence[_Member]) -> Sequence[EmbedResponse]:
    """To each its own rows."""
    if reply.count != sum(len(member.request.texts) for member in members):
        raise Unavailable("embed service: reply of the wrong size")
    size, first, parts = len(reply.vectors) // reply.count, 0, []
    for member in members:
        last = first + len(member.request.texts)
        part = EmbedResponse(
            vectors=reply.vectors[first * size : last * size],
            count=last - first,
            dimensions=reply.dimensions,
            dtype=reply.dtype,
            token_counts=reply.token_counts[first:last],
            truncated=reply.truncated[first:last],
            windows=reply.windows[first:last],
            fingerprint=reply.fingerprint,
            timings=reply.timings,
        )
        parts.append(part)
        first = last
    return parts
