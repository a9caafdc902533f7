"""Settings that may change while the process runs: those in a file that is followed, and of them a chosen few."""

import logging
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, ValidationError, create_model

from serving import logs, tracing
from serving.errors import StartupError
from serving.settings import ServerSettings

log = logging.getLogger(__name__)

S = TypeVar("S", bound=ServerSettings)

_CHECK_S = 1.0


def follow(settings: S, adopt: Callable[[S], None] = lambda settings: None) -> None:
    """Has what `live_file` says in force now and within a second of each change; `adopt` gets the settings of a
    deployable's own, from another thread.

    What the file does not name, or not any more, is as the process was started with. Raises StartupError for a wrong
    file; one that becomes wrong is reported, and what it said before holds.
    """
    if settings.live_file is None:
        return
    file, stamp = settings.live_file, _look(settings.live_file)
    try:
        _adopt(settings, file, adopt)
    except (OSError, ValueError) as error:
        raise StartupError(f"live file {file}: {_reason(error)}") from error
    thread = threading.Thread(target=_follow, args=(settings, file, stamp, adopt), name="live-settings", daemon=True)
    thread.start()


def _follow(settings: S, file: Path, stamp: object, adopt: Callable[[S], None]) -> None:
    while True:
        time.sleep(_CHECK_S)
        if (now := _look(file)) == stamp:
            continue
        stamp = now
        try:
            said = _adopt(settings, file, adopt)
            log.info("live file read again: %s", ", ".join(f"{name}={value}" for name, value in said.items()))
        except (OSError, ValueError) as error:
            log.error("live file is wrong, what it said before holds: %s", _reason(error))


def _adopt(settings: S, file: Path, adopt: Callable[[S], None]) -> dict[str, Any]:
    said = _read(settings, file)
    current = settings.model_copy(update=said)
    logs.show_calls(current.log_calls)
    tracing.record(current.trace_share)
    adopt(current)
    return said


def _read(settings: ServerSettings, file: Path) -> dict[str, Any]:
    """Only what may change, each as its setting has to be."""
    known = type(settings).model_fields
    fields: Any = {name: (known[name].annotation, known[name]) for name in sorted(settings.LIVE)}
    allowed = create_model("Live", __config__=ConfigDict(extra="forbid"), **fields)
    return allowed.model_validate(tomllib.loads(file.read_text())).model_dump(exclude_unset=True)


def _look(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return str(error)
