"""A collector of traces: takes OTLP over HTTP, as protobuf from our processes and as JSON from tritonserver."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    facts: Mapping[str, str | int] = field(default_factory=dict)


@dataclass
class Collector:
    url: str
    spans: list[Span] = field(default_factory=list)

    def of(self, trace: str) -> dict[str, Span]:
        """A trace's spans by `service name`; of several with one name the last."""
        return {f"{span.service} {span.name}": span for span in self.spans if span.trace == trace}

    def traces_of(self, service: str) -> set[str]:
        return {span.trace for span in list(self.spans) if span.service == service}

    def first(self, chosen: Callable[[Span], bool], seconds: float) -> Span:
        deadline = time.monotonic() + seconds
        while True:
            for span in list(self.spans):
                if chosen(span):
                    return span
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.1)

    def wait_for(self, traces: Iterable[str], names: Set[str], seconds: float) -> str:
        """The first of the traces to have spans of these names."""
        deadline = time.monotonic() + seconds
        while True:
            missing = {trace: names - self.of(trace).keys() for trace in traces}
            if whole := [trace for trace, spans in missing.items() if not spans]:
                return whole[0]
            assert time.monotonic() < deadline, f"not within {seconds} s: {missing}"
            time.sleep(0.1)


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                as_json = "json" in self.headers["content-type"]
                collector.spans.extend(_from_json(json.loads(body)) if as_json else _from_message(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _from_message(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = next(each.value.string_value for each in resource.resource.attributes if each.key == "service.name")
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
            facts = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
            yield Span(service, span.name, *ids, span.start_time_unix_nano, span.end_time_unix_nano, facts)


def _from_json(body: Any) -> Iterator[Span]:
    for resource in body["resourceSpans"]:
        attributes = resource["resource"]["attributes"]
        service = next(each["value"]["stringValue"] for each in attributes if each["key"] == "service.name")
        for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
            ids = (span["traceId"], span["spanId"], span.get("parentSpanId", ""))
            yield Span(service, span["name"], *ids, int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
