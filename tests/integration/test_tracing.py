"""One trace from the application through gateway and service into tritonserver, in a real collector."""

import os
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import siftline
from tests.integration.gateway.test_gateway_quotas import keys_file
from tests.running import gateway as gateway_process
from tests.running import model_service
from tests.running.collector import Collector, collecting
from tests.running.http import ask
from tests.running.model_service import RunningService
from tests.running.redis_server import RedisServer

SECONDS = 60.0
TIMES = 10  # tritonserver takes headers for C strings, which gRPC's aren't, and so misses one trace in ten


AT_ONCE = os.environ | {"OTEL_BSP_SCHEDULE_DELAY": "100"}  # spans are sent after so many milliseconds, not 5000
AFTERWARDS = {"gateway cache write"}  # off the reply's path
# A call in each dialect.
OVER_HTTP: dict[str, dict[str, object]] = {
    "/v1/search": {"collection": "c", "query": "how are batches formed?"},
    "/v1/embeddings": {"input": "a text over HTTP", "model": ""},
    "/v2/rerank": {"model": "x", "query": "a question", "documents": ["a passage"]},
    "/v1/ranking": {"model": "x", "query": {"text": "a question"}, "passages": [{"text": "a passage"}]},
    "/embed": {"inputs": "another text over HTTP"},
}


@pytest.fixture(name="collector", scope="module")
def _collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@dataclass(frozen=True)
class Traced:
    """A gateway that begins no traces, and the HTTP ports of it and of one beside it that begins them all, and asks for
    a key, which has a quota."""

    address: str
    metrics: str
    http: str
    beginning: str


@pytest.fixture(name="gateway", scope="module")
def _gateway(
    collector: Collector,
    default_models: Path,
    rerank_service: RunningService,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Traced]:
    """Gateways over a real embed service, all of which send their traces."""
    folder = tmp_path_factory.mktemp("traced")
    ports = [f"127.0.0.1:{model_service.free_port()}" for _ in range(2)]
    redis = RedisServer(folder / "redis")
    redis.start()
    quick = ("--batch-tokens=2048", "--instances=1", f"--traces={collector.url}")
    with model_service.running("services.embed", default_models / "all-minilm-l6-v2", folder, *quick) as embed:
        flags = (f"--embed={embed.address}", f"--rerank={rerank_service.address}", f"--traces={collector.url}")
        urls = (f"--cache-url={redis.url}", f"--index-url={redis.url}")
        keys = keys_file(folder, k="tokens_per_minute = 100000")
        own = ((*flags, "--trace-share=0"), (*flags, "--trace-share=1", f"--keys-file={keys}"))
        started = [
            gateway_process.start(folder / port, *urls, *more, f"--http={port}", environment=AT_ONCE)
            for more, port in zip(own, ports, strict=True)
        ]
        try:
            for each in started:
                each.wait_until(True, gateway_process.READY_SECONDS)
            with siftline.Client(started[0].address) as client:
                client.create_collection("c")
                client.upsert("c", [siftline.Document("x", "Batches are formed by tokens.")])
            yield Traced(started[0].address, started[0].metrics, *(f"http://{port}" for port in ports))
        finally:
            for each in started:
                each.process.terminate()
                each.process.wait(30)
            redis.kill()


def searched(gateway: Traced, provider: TracerProvider, query: str) -> tuple[str, str]:
    """Trace and span of an application that searches."""
    with provider.get_tracer("application").start_as_current_span("ask") as span:
        with siftline.Client(gateway.address) as client:
            found = client.search("c", query)
            assert found.hits
            assert not found.degraded
        context = span.get_span_context()
        return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def test_a_call_tells_how_it_ended(gateway: Traced, collector: Collector) -> None:
    found, _ = searched(gateway, TracerProvider(), "a good end")
    asking = TracerProvider().get_tracer("application").start_as_current_span("ask")
    refused = pytest.raises(siftline.SiftlineError, match="nowhere")
    with asking as span, siftline.Client(gateway.address) as client, refused:
        client.search("nowhere", "a bad end")
    failed = f"{span.get_span_context().trace_id:032x}"
    name = "gateway /siftline.search.v1.SearchService/Search"
    for trace, code in ((found, grpc.StatusCode.OK), (failed, grpc.StatusCode.NOT_FOUND)):
        collector.wait_for([trace], {name}, SECONDS)
        assert collector.of(trace)[name].facts["rpc.grpc.status_code"] == code.value[0]


def test_one_trace_holds_all_stages_down_to_triton(gateway: Traced, collector: Collector) -> None:
    asking = dict(searched(gateway, TracerProvider(), f"how are {n} batches formed?") for n in range(TIMES))
    parents = {
        "gateway /siftline.search.v1.SearchService/Search": "",
        "gateway embed": "gateway /siftline.search.v1.SearchService/Search",
        "gateway cache": "gateway embed",
        "gateway cache write": "gateway embed",
        "gateway recall": "gateway /siftline.search.v1.SearchService/Search",
        "gateway rerank": "gateway /siftline.search.v1.SearchService/Search",
        "embed /siftline.embed.v1.EmbedService/Embed": "gateway embed",
        "embed queue": "embed /siftline.embed.v1.EmbedService/Embed",
        "embed compute": "embed /siftline.embed.v1.EmbedService/Embed",
        "embed batch": "embed /siftline.embed.v1.EmbedService/Embed",
        "tritonserver InferRequest": "embed batch",
        "tritonserver all-minilm-l6-v2": "tritonserver InferRequest",
        "tritonserver compute": "tritonserver all-minilm-l6-v2",
    }
    trace = collector.wait_for(asking, parents.keys(), SECONDS)
    spans = collector.of(trace)
    assert {name: spans[name].parent for name in parents} == {
        name: spans[parent].id if parent else asking[trace] for name, parent in parents.items()
    }
    for name, parent in parents.items():
        if (
            parent and name not in AFTERWARDS
        ):  # all by one clock; to a millisecond, because some are told afterwards by their length
            assert spans[parent].start - 1e6 <= spans[name].start <= spans[parent].end


def test_a_write_reaches_the_index(gateway: Traced, collector: Collector) -> None:
    """A document that is new has its vector computed; one that is taken out is written too."""
    parents = {
        "Upsert": {"gateway embed": None, "gateway store": None, "gateway index write": "gateway store"},
        "Delete": {"gateway index write": None},
    }
    document = siftline.Document(secrets.token_hex(8), f"Written by {secrets.token_hex(8)}.")
    provider = TracerProvider().get_tracer("application")
    with siftline.Client(gateway.address) as client:
        for method, within in parents.items():
            with provider.start_as_current_span("write") as span:
                client.upsert("c", [document]) if method == "Upsert" else client.delete("c", [document.id])
            call = f"gateway /siftline.search.v1.SearchService/{method}"
            trace = collector.wait_for([f"{span.get_span_context().trace_id:032x}"], {call, *within}, SECONDS)
            spans = collector.of(trace)
            assert {name: spans[name].parent for name in within} == {
                name: spans[parent or call].id for name, parent in within.items()
            }


def test_what_the_application_does_not_record_nobody_does(gateway: Traced, collector: Collector) -> None:
    unrecorded, _ = searched(gateway, TracerProvider(sampler=ALWAYS_OFF), "not recorded")
    recorded = [searched(gateway, TracerProvider(), f"recorded {n}")[0] for n in range(TIMES)]
    collector.wait_for(recorded, {"tritonserver compute"}, SECONDS)
    assert not collector.of(unrecorded)
    deadline = time.monotonic() + SECONDS  # a service may send its spans after its tritonserver did
    while of_no_call := collector.traces_of("tritonserver") - collector.traces_of("embed"):
        assert time.monotonic() < deadline, of_no_call  # of canaries, or of its own
        time.sleep(0.1)


def test_a_latency_leads_to_its_trace(gateway: Traced) -> None:
    """Exemplars, for who asks for OpenMetrics as Prometheus does when it stores them."""
    trace, _ = searched(gateway, TracerProvider(), "exemplary")
    headers = {"accept": "application/openmetrics-text; version=1.0.0"}
    request = urllib.request.Request(f"http://{gateway.metrics}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=SECONDS) as reply:
        text = reply.read().decode()
    for series in ("siftline_grpc_request_seconds", "siftline_search_stage_seconds"):
        exemplars = re.findall(rf'^{series}_bucket.* # {{trace_id="([0-9a-f]+)"}}', text, re.MULTILINE)
        assert trace in exemplars


@pytest.mark.parametrize(("path", "body"), OVER_HTTP.items())
def test_over_http_the_callers_trace_is_followed(
    gateway: Traced, collector: Collector, path: str, body: dict[str, object]
) -> None:
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    answer = ask(gateway.http + path, body, traceparent=f"00-{trace}-{parent}-01")
    assert answer.status == 200
    stages = {"gateway embed", "gateway recall", "gateway rerank"} if path == "/v1/search" else set()
    collector.wait_for([trace], {f"gateway POST {path}"} | stages, SECONDS)
    spans = collector.of(trace)
    call = spans[f"gateway POST {path}"]
    assert call.parent == parent
    assert {spans[stage].parent for stage in stages} <= {call.id}
    assert call.facts["http.response.status_code"] == 200
    assert call.facts["siftline.request_id"] == answer.headers["x-request-id"]


def test_over_http_a_trace_begins_and_reaches_the_service_and_redis(gateway: Traced, collector: Collector) -> None:
    assert ask(f"{gateway.beginning}/health").status == 200
    body = {"input": "a beginning", "model": ""}
    assert ask(f"{gateway.beginning}/v1/embeddings", body, x_api_key="k").status == 200
    call = collector.first(
        lambda span: (span.service, span.name) == ("gateway", "POST /v1/embeddings") and not span.parent, SECONDS
    )
    of_redis = {f"gateway {name}" for name in ("quota take", "cache", "cache write", "quota correct")}
    collector.wait_for([call.trace], {"embed /siftline.embed.v1.EmbedService/Embed"} | of_redis, SECONDS)
    spans = collector.of(call.trace)
    assert {spans[name].parent for name in of_redis} == {call.id}
    assert "GET /health" not in {span.name for span in collector.spans}


def test_nothing_of_it_is_imported_until_it_is_turned_on() -> None:
    """Redis's client imports what it needs for metrics of its own where that is installed."""
    for modules, banned in (
        ("services.embed.__main__, siftline", "opentelemetry"),
        ("gateway.__main__", ("opentelemetry.exporter", "opentelemetry.sdk.trace")),
    ):
        code = f"import {modules}, sys; print(*sys.modules)"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "grpc" in ended.stdout.split()
        assert not [name for name in ended.stdout.split() if name.startswith(banned)]


def test_a_collector_that_is_not_there_stops_nobody() -> None:
    code = (
        "from serving import tracing\n"
        f"tracing.start('x', 'http://127.0.0.1:{model_service.free_port()}', 1.0)\n"
        "with tracing.serving('call', {}), tracing.span('stage'): print('answered')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert (ended.returncode, ended.stdout) == (0, "answered\n")
