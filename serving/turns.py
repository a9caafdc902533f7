"""Processes that take turns: a lock file that the kernel frees when its holder dies."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def turn(file: Path) -> AsyncIterator[float]:
    """Holds `file` exclusively; gives the time (time.time seconds) at which the last turn ended, 0 for never."""
    file.parent.mkdir(parents=True, exist_ok=True)
    existed = file.exists()
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        await asyncio.to_thread(fcntl.flock, handle, fcntl.LOCK_EX)
        yield os.fstat(handle).st_mtime if existed else 0.0
        os.utime(handle)
    finally:
        os.close(handle)
