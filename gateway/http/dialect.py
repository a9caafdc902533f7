"""How a family of clients wants to hear of errors."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.http import failure
from gateway.http.reply import Reply, json_reply
from serving.errors import InvalidArgument, SiftlineError


@dataclass(frozen=True, slots=True)
class Dialect:
    """`error` gives the JSON body of an error, None for an empty one; `status` differs where the dialect does.

    `fault` is the type of such bodies, `statuses` what `status` may say. `names` says what the fields of our messages
    are called in it.
    """

    name: str
    fault: type
    error: Callable[[SiftlineError, int], object | None]
    status: Callable[[SiftlineError], int] = failure.status_of
    statuses: Sequence[int] = tuple(failure.STATUSES)
    names: Mapping[str, str] = field(default_factory=dict)

    def refusal(self, error: SiftlineError) -> Reply:
        error = self._in_its_words(error)
        status = self.status(error)
        body = self.error(error, status)
        headers = failure.headers_of(error)
        reply = Reply(status, b"", headers) if body is None else json_reply(body, status, headers)
        reply.dialect = self.name
        return reply

    async def answer(self, handling: Awaitable[Reply]) -> Reply:
        """For paths that two dialects share: the reply, or the refusal in this one's words."""
        try:
            reply = await handling
        except SiftlineError as error:
            return self.refusal(error)
        reply.dialect = self.name
        return reply

    def _in_its_words(self, error: SiftlineError) -> SiftlineError:
        if not isinstance(error, InvalidArgument):
            return error
        name = re.match(r"\w*", error.field)
        ours = name[0] if name else ""
        if ours not in self.names:
            return error
        renamed = self.names[ours] + error.field.removeprefix(ours)
        return InvalidArgument(renamed, str(error).removeprefix(f"{error.field}: "), reason=error.reason)
