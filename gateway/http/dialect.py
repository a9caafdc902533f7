"""How a family of clients wants to hear of errors."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.http import failure
from gateway.http.reply import Reply, json_reply
from serving.errors import SiftlineError


@dataclass(frozen=True, slots=True)
class Dialect:
    """`error` gives the JSON body of an error, None for an empty one; `status` differs where the dialect does."""

    name: str
    error: Callable[[SiftlineError, int], object | None]
    status: Callable[[SiftlineError], int] = field(default=failure.status_of)

    def refusal(self, error: SiftlineError) -> Reply:
        status = self.status(error)
        body = self.error(error, status)
        headers = failure.headers_of(error)
        return Reply(status, b"", headers) if body is None else json_reply(body, status, headers)
