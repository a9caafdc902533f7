"""Whose request this is. Set once where a request enters, read where collections are named and cache keys are made."""

from contextvars import ContextVar

TENANT: ContextVar[str] = ContextVar("tenant", default="")
