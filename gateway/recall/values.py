"""Times and places as the index has them."""

import math
from datetime import UTC, datetime

MAX_LATITUDE, MAX_LONGITUDE = 85.05112878, 180.0  # those of the engine (EPSG 3857)
_LONGEST = 40


def seconds_of(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 date or time; without an offset it is UTC. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text) if len(text) <= _LONGEST else None
    except ValueError:
        moment = None
    if moment is None:
        raise ValueError(f"{text[:_LONGEST]!r} is not a time as 2024-05-01 or 2024-05-01T12:30:00Z")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def wrong_place(lat: float, lon: float) -> str:
    """What is wrong with a place in degrees, empty when nothing is."""
    if math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= MAX_LATITUDE and abs(lon) <= MAX_LONGITUDE:
        return ""
    return f"latitude and longitude are -{MAX_LATITUDE:.2f} to {MAX_LATITUDE:.2f} and -180 to 180 degrees"
