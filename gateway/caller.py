"""Whose call this is, and what it costs. Set once where a call enters; read where collections are named, cache keys
made, quotas charged and writes recorded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from gateway.auth.scopes import Scope
from gateway.quota.limits import UNLIMITED, Limits
from serving.errors import PermissionDenied


@dataclass(slots=True)
class Caller:
    """`name` of the key, empty without keys. `tokens` that the services have computed for the call so far."""

    name: str = ""
    tenant: str = ""
    limits: Limits = UNLIMITED
    scopes: frozenset[Scope] = frozenset(Scope)
    tokens: int = 0

    def require(self, scope: Scope) -> None:
        """Raises PermissionDenied unless the caller may do this. Without keys everyone may do everything."""
        if scope not in self.scopes:
            raise PermissionDenied(f"the API key lacks the scope {scope.value!r}")


CALLER: ContextVar[Caller] = ContextVar("caller", default=Caller())  # noqa: B039 what nobody pays for is not counted


@contextmanager
def acting_as(tenant: str) -> Iterator[None]:
    """For work on everyone's behalf."""
    before = CALLER.set(Caller(tenant=tenant))
    try:
        yield
    finally:
        CALLER.reset(before)
