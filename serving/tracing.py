"""Traces: spans to an OpenTelemetry collector, W3C trace context in and out. Off, nothing of it is imported or done."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

# With all its attempts; a process that ends waits as long for a collector that does not answer.
_EXPORT_SECONDS = 3.0
_NOTHING = nullcontext()
_tracer: Any = None
_propagator: Any = None


def start(service: str, collector: str, share: float) -> None:
    """From now on spans go to `collector`/v1/traces, of this share of the traces that begin here; a caller's trace is
    recorded when the caller's is. An empty `collector` leaves everything off.
    """
    if not collector:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    provider = TracerProvider(
        resource=Resource.create({"service.name": service}), sampler=ParentBasedTraceIdRatio(share)
    )
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint(collector), timeout=_EXPORT_SECONDS))
    )
    use(provider)


def use(provider: Any) -> None:
    """Spans of this process are made by `provider`."""
    global _tracer, _propagator
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    _tracer, _propagator = provider.get_tracer("siftline"), TraceContextTextMapPropagator()


def record(share: float) -> None:
    """From now on this share of the traces that begin here."""
    if _tracer is not None:
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

        _tracer.sampler = ParentBasedTraceIdRatio(share)


def stop() -> None:
    global _tracer
    _tracer = None


def endpoint(collector: str) -> str:
    return f"{collector.rstrip('/')}/v1/traces"


def on() -> bool:
    return _tracer is not None


def span(name: str) -> AbstractContextManager[Any]:
    """A stage of the call that is going on. An error's text stays out of it."""
    if _tracer is None:
        return _NOTHING
    return _tracer.start_as_current_span(name, record_exception=False)  # type: ignore[no-any-return]


def serving(name: str, metadata: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """The call itself, as a part of its caller's trace. Yields the span, on which facts can be set."""
    from opentelemetry.trace import SpanKind

    caller = _propagator.extract({key: metadata[key] for key in _propagator.fields if key in metadata})
    return _tracer.start_as_current_span(name, caller, SpanKind.SERVER, record_exception=False)  # type: ignore[no-any-return]


def carried() -> tuple[tuple[str, str], ...]:
    """Metadata by which a call to another part joins the trace, or knows that it is not recorded."""
    if _tracer is None:
        return ()
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return tuple(carrier.items())


def current() -> Any:
    """Context of the span that is going on; None where none is recorded."""
    if _tracer is None:
        return None
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    return context if context.trace_flags.sampled else None


def tell(facts: Mapping[str, str | int]) -> None:
    """Attributes of the span that is going on."""
    if current() is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes(facts)


def exemplar() -> dict[str, str] | None:
    """By which a histogram leads to the trace; None where none is recorded."""
    context = current()
    return None if context is None else {"trace_id": f"{context.trace_id:032x}"}


def passed(begun: float, **seconds: float) -> None:
    """Spans within the one going on, one after the other, that have passed; the first began `begun` seconds ago."""
    if current() is None:
        return
    at = time.time_ns() - int(begun * 1e9)
    for name, lasted in seconds.items():
        each = _tracer.start_span(name, start_time=at)
        at += int(lasted * 1e9)
        each.end(at)


@contextmanager
def together(name: str, contexts: Iterable[Any]) -> Iterator[None]:
    """What is done for several calls at once: a part of the first recorded one's trace, with links to the others."""
    recorded = [context for context in contexts if context is not None] if _tracer is not None else []
    if not recorded:
        yield
        return
    from opentelemetry.trace import Link, NonRecordingSpan, set_span_in_context

    parent = set_span_in_context(NonRecordingSpan(recorded[0]))
    links = [Link(context) for context in recorded[1:]]
    with _tracer.start_as_current_span(name, parent, links=links, record_exception=False):
        yield
