"""Metrics of the HTTP side, by dialect and route."""

from prometheus_client import Counter, Histogram

from serving.telemetry import SECONDS

HTTP_REQUESTS = Counter(
    "siftline_http_requests_total",
    "HTTP requests answered, by dialect, route and status (499: the client was gone first)",
    ["dialect", "route", "status"],
)
HTTP_SECONDS = Histogram(
    "siftline_http_request_seconds",
    "Time from an HTTP request's head to its reply, by dialect and route",
    ["dialect", "route"],
    buckets=SECONDS,
)
