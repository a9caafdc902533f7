"""Certificates that are replaced while they are in use, and connections that follow them."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from logging import getLogger
from typing import Generic, TypeVar

import grpc

from siftline.errors import SiftlineError
from siftline.tls import TLS, Pem, read

log = getLogger(__name__)

T = TypeVar("T")

CHECK_SECONDS = 1.0
# Calls may go on over a connection whose certificate has been replaced. None lasts longer than this.
RETIRED_SECONDS = 3600.0


class Certificates:
    """The files as they are now. New ones that are unreadable or wrong are reported, and the old ones stay in use.

    `noted` is told what they hold, each time that they are read. Raises SiftlineError, with one line that names the
    file, when they are wrong to begin with. Any thread may ask.
    """

    def __init__(self, tls: TLS, noted: Callable[[Pem], None] = lambda pem: None) -> None:
        self._tls = tls
        self._noted = noted
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._refused: list[tuple[int, int, int] | None] = []
        self._checked = time.monotonic()
        self.pem = read(tls)
        noted(self.pem)

    def follow(self) -> bool:
        """Looks, at most once a second, whether the files changed; True when there is something new in `pem`."""
        if time.monotonic() - self._checked < CHECK_SECONDS or not self._lock.acquire(blocking=False):
            return False
        try:
            self._checked = time.monotonic()
            return self._renew()
        finally:
            self._lock.release()

    def _renew(self) -> bool:
        stamp = self._look()
        if stamp == self._stamp:
            return False
        try:
            pem = read(self._tls)
        except SiftlineError as error:
            if stamp != self._refused:
                log.error("%s; what it was before stays in use", error)
            self._refused = stamp
            return False
        if self._look() != stamp:  # they are being replaced this moment: next time
            return False
        self._stamp, self.pem = stamp, pem
        self._noted(pem)
        log.info("TLS files read again: %s", self._tls.cert or self._tls.ca)
        return True

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in (self._tls.ca, self._tls.cert, self._tls.key) if path is not None]


class Renewed(Generic[T]):
    """Something opened with certificates, a channel for example, and opened anew when they change.

    What is replaced stays open for what goes on over it. Without `tls` it is opened once, in clear.
    """

    def __init__(
        self,
        open_with: Callable[[grpc.ChannelCredentials | None], T],
        tls: TLS | None,
        noted: Callable[[Pem], None] = lambda pem: None,
    ) -> None:
        self._open_with = open_with
        self._certificates = Certificates(tls, noted) if tls is not None else None
        self._retired: deque[tuple[float, T]] = deque()
        self._current = self._open()

    def current(self) -> T:
        if self._certificates is not None and self._certificates.follow():
            now = time.monotonic()
            self._retired.append((now, self._current))
            self._current = self._open()
            while self._retired[0][0] < now - RETIRED_SECONDS:
                self._retired.popleft()
        return self._current

    def all(self) -> list[T]:
        """What is open, to be closed."""
        return [*(retired for _, retired in self._retired), self._current]

    def _open(self) -> T:
        return self._open_with(self._certificates.pem.for_client() if self._certificates is not None else None)


def _stamp(path: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
