"""Whose request this is. Set once where a request enters, read where collections are named and cache keys are made."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TENANT: ContextVar[str] = ContextVar("tenant", default="")


@contextmanager
def acting_as(tenant: str) -> Iterator[None]:
    """For work on everyone's behalf."""
    before = TENANT.set(tenant)
    try:
        yield
    finally:
        TENANT.reset(before)
