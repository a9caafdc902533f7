"""Single flight: of several requests that need the same key at once, one computes and the others wait for it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, TypeVar

from serving.errors import Overloaded, SiftlineError, Unavailable

V = TypeVar("V")


class Flights(Generic[V]):
    """Keys being computed in this process."""

    def __init__(self) -> None:
        self._flying: dict[bytes, asyncio.Future[V | None]] = {}

    async def fetch(
        self, keys: Iterable[bytes], compute: Callable[[list[bytes]], Awaitable[Mapping[bytes, V]]]
    ) -> tuple[dict[bytes, V], int]:
        """Values of all keys, and how many of them came from other requests.

        `compute` gets the keys that nobody is computing. When the request that a key waits for gives up for a
        reason of its own (its deadline, its caller, another text of its batch), the key is computed here.
        """
        values: dict[bytes, V] = {}
        waiting = list(dict.fromkeys(keys))
        coalesced = 0
        while waiting:
            others = {key: self._flying[key] for key in waiting if key in self._flying}
            own = [key for key in waiting if key not in others]
            if own:
                values.update(await self._fly(own, compute))
            waiting = []
            for key, flight in others.items():
                # shield: a caller that goes away must not cancel what others wait for too
                value = await asyncio.shield(flight)
                if value is None:
                    waiting.append(key)
                else:
                    values[key] = value
                    coalesced += 1
        return values, coalesced

    async def _fly(
        self, keys: list[bytes], compute: Callable[[list[bytes]], Awaitable[Mapping[bytes, V]]]
    ) -> Mapping[bytes, V]:
        loop = asyncio.get_running_loop()
        flights = {key: loop.create_future() for key in keys}
        self._flying.update(flights)
        values: Mapping[bytes, V] = {}
        failure: SiftlineError | None = None
        try:
            values = await compute(keys)
            return values
        except (Overloaded, Unavailable) as error:
            failure = error  # these hold for everyone who waits
            raise
        finally:
            for key, flight in flights.items():
                del self._flying[key]
                if failure is None:
                    flight.set_result(values.get(key))
                else:
                    flight.set_exception(failure)
                    flight.exception()  # nobody may be waiting
