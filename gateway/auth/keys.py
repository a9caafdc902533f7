"""The keys file: digests of keys, never keys, with what each is for. Changes take effect within a second.

[[keys]]
name = "shop"                     # for people, told in no reply; keys of one name share their quotas
sha256 = "…"                      # of the key, 64 hex digits
scopes = ["search", "embed"]
tenant = "acme"                   # optional: sees its own collections and cache entries only
expires = 2027-01-31T00:00:00Z    # optional
requests_per_second = 50          # optional; all gateways together
tokens_per_minute = 1_000_000     # optional; of texts sent, then corrected to what the models computed
"""

import hashlib
import logging
import os
import re
import time
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.auth.scopes import Scope
from gateway.caller import Caller
from gateway.quota.limits import Limits
from serving.errors import StartupError, Unauthenticated

log = logging.getLogger(__name__)

_CHECK_S = 1.0


class Key(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: frozenset[Scope]
    tenant: str = Field("", pattern=r"^[a-z0-9_-]{0,64}$")
    expires: datetime | None = None
    requests_per_second: float = Field(0.0, ge=0)
    tokens_per_minute: int = Field(0, ge=0)

    def caller(self) -> Caller:
        """For one call made with this key."""
        return Caller(self.name, self.tenant, Limits(self.requests_per_second, self.tokens_per_minute), self.scopes)

    @field_validator("expires")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    @property
    def expired(self) -> bool:
        return self.expires is not None and datetime.now(UTC) >= self.expires


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[Key]


class Keys:
    """The file as it is now. One that has become unreadable or wrong is reported, and what it said before holds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._look()
        self._checked = time.monotonic()
        try:
            self._keys = _load(path)
        except (OSError, ValueError) as error:
            raise StartupError(f"keys file {path}: {_reason(error)}") from error

    def find(self, secret: str) -> Key:
        """The key's entry. Raises Unauthenticated when there is none, or it has expired.

        What is compared are digests: how long a comparison takes tells nothing about a key.
        """
        self._follow()
        key = self._keys.get(hashlib.sha256(secret.encode()).hexdigest())
        if key is None or key.expired:
            raise Unauthenticated("the API key is not known here, or has expired")
        return key

    def _follow(self) -> None:
        if time.monotonic() - self._checked < _CHECK_S:
            return
        self._checked = time.monotonic()
        stamp = self._look()
        if stamp == self._stamp:
            return
        try:
            self._keys = _load(self._path)
            self._stamp = stamp
            log.info("keys file read again: %d keys", len(self._keys))
        except (OSError, ValueError) as error:
            log.error("keys file is wrong, the keys of before hold: %s", _reason(error))

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def secret_in(headers: Mapping[str, str]) -> str:
    """The key in headers, their names in lower case. Raises Unauthenticated when there is none.

    `authorization: Bearer KEY`, or the bare KEY there as LlamaIndex sends it to TEI, or `x-api-key: KEY`.
    """
    authorization = str(headers.get("authorization", "")).strip()
    scheme, _, bearer = authorization.partition(" ")
    if bearer:
        authorization = bearer.strip() if scheme.lower() == "bearer" else ""
    secret = authorization or str(headers.get("x-api-key", ""))
    if not secret:
        raise Unauthenticated("no API key: send it as `authorization: Bearer KEY` or `x-api-key: KEY`")
    return secret


def _load(path: Path) -> Mapping[str, Key]:
    """Entries by digest. Raises OSError, ValueError."""
    entries = _File.model_validate(tomllib.loads(path.read_text())).keys
    found = {key.sha256: key for key in entries}
    if len(found) != len(entries):
        raise ValueError("a digest is there twice")
    return found


def _reason(error: Exception) -> str:
    """One line, without the file's contents."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return re.sub(r"\s+", " ", text)
