"""W3C trace context of the application, put on its calls when it uses OpenTelemetry."""

import sys


def carried() -> tuple[tuple[str, str], ...]:
    """Metadata with the current trace; empty in applications that have not imported OpenTelemetry."""
    if "opentelemetry.trace" not in sys.modules:
        return ()
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return tuple((name.lower(), value) for name, value in carrier.items())
