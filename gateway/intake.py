"""Documents looked at one by one: what is wrong ends the call, or is skipped and told of at its end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from serving.errors import InvalidArgument

T = TypeVar("T")

MAX_ERRORS = 1000


@dataclass(frozen=True, slots=True)
class Rejected:
    """`place` among all documents of the call, from 0; `field` within the document."""

    place: int
    id: str
    field: str
    message: str


@dataclass(slots=True)
class Intake:
    """Of one call. `seen` counts the documents of the messages before the one being looked at."""

    skip_invalid: bool
    seen: int = 0
    skipped: int = 0
    errors: list[Rejected] = field(default_factory=list)

    def take(self, place: int, identity: str, look: Callable[[], T]) -> T | None:
        """What `look` makes of a document; None when that raised InvalidArgument and wrong ones are to be skipped."""
        try:
            return look()
        except InvalidArgument as error:
            message = str(error).removeprefix(f"{error.field}: ")
            if not self.skip_invalid:
                raise InvalidArgument(f"documents[{place}].{error.field}", message) from error
            self.skipped += 1
            if len(self.errors) < MAX_ERRORS:
                self.errors.append(Rejected(place, identity[:512], error.field, message))
            return None
