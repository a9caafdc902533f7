"""What a key may use, and what a call takes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

REQUESTS, TOKENS = "requests", "tokens"


@dataclass(frozen=True, slots=True)
class Charge:
    """Of one bucket. `cost`: seconds in which what is taken flows back. `window`: seconds in which the whole does."""

    kind: str
    cost: float
    window: float


@dataclass(frozen=True, slots=True)
class Limits:
    """0 is no limit."""

    requests_per_second: float = 0.0
    tokens_per_minute: int = 0

    def __bool__(self) -> bool:
        return bool(self.requests_per_second or self.tokens_per_minute)

    def charges(self, tokens: int) -> Sequence[Charge]:
        """Of one request with so many tokens."""
        charges = []
        if self.requests_per_second:
            cost = 1 / self.requests_per_second
            charges.append(Charge(REQUESTS, cost, max(1.0, cost)))
        if self.tokens_per_minute:
            charges.append(self.tokens(tokens))
        return charges

    def tokens(self, count: int) -> Charge:
        return Charge(TOKENS, count * 60 / self.tokens_per_minute, 60.0)


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True)
class Refused:
    """The bucket that has too little, and the seconds after which it will have enough."""

    kind: str
    wait: float
