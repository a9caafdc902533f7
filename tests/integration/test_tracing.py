"""One trace from the application through gateway and service into tritonserver, in a real collector."""

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import siftline
from tests.running import gateway as gateway_process
from tests.running import model_service
from tests.running.collector import Collector, collecting
from tests.running.model_service import RunningService
from tests.running.redis_server import RedisServer

SECONDS = 30.0
TIMES = 10  # tritonserver takes headers for C strings, which gRPC's aren't, and so misses one trace in ten


@pytest.fixture(name="collector", scope="module")
def _collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(name="gateway", scope="module")
def _gateway(
    collector: Collector,
    default_models: Path,
    rerank_service: RunningService,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningService]:
    """A gateway over a real embed service, both of which send their traces."""
    folder = tmp_path_factory.mktemp("traced")
    redis = RedisServer(folder / "redis")
    redis.start()
    quick = ("--batch-tokens=2048", "--instances=1", f"--traces={collector.url}")
    with model_service.running("services.embed", default_models / "all-minilm-l6-v2", folder, *quick) as embed:
        flags = (f"--embed={embed.address}", f"--rerank={rerank_service.address}", f"--traces={collector.url}")
        urls = (f"--cache-url={redis.url}", f"--index-url={redis.url}", "--trace-share=0", "--http=127.0.0.1:0")
        gateway = gateway_process.start(folder, *flags, *urls)
        try:
            gateway.wait_until(True, gateway_process.READY_SECONDS)
            with siftline.Client(gateway.address) as client:
                client.create_collection("c")
                client.upsert("c", [siftline.Document("x", "Batches are formed by tokens.")])
            yield gateway
        finally:
            gateway.process.terminate()
            gateway.process.wait(30)
            redis.kill()


def searched(gateway: RunningService, provider: TracerProvider, query: str) -> tuple[str, str]:
    """Trace and span of an application that searches."""
    with provider.get_tracer("application").start_as_current_span("ask") as span:
        with siftline.Client(gateway.address) as client:
            found = client.search("c", query)
            assert found.hits
            assert not found.degraded
        context = span.get_span_context()
        return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def test_one_trace_holds_all_stages_down_to_triton(gateway: RunningService, collector: Collector) -> None:
    asking = dict(searched(gateway, TracerProvider(), f"how are {n} batches formed?") for n in range(TIMES))
    parents = {
        "gateway /siftline.search.v1.SearchService/Search": "",
        "gateway embed": "gateway /siftline.search.v1.SearchService/Search",
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
        if parent:  # all by one clock; to a millisecond, because some are told afterwards by their length
            assert spans[parent].start - 1e6 <= spans[name].start <= spans[parent].end


def test_what_the_application_does_not_record_nobody_does(gateway: RunningService, collector: Collector) -> None:
    unrecorded, _ = searched(gateway, TracerProvider(sampler=ALWAYS_OFF), "not recorded")
    recorded = [searched(gateway, TracerProvider(), f"recorded {n}")[0] for n in range(TIMES)]
    collector.wait_for(recorded, {"tritonserver compute"}, SECONDS)
    assert not collector.of(unrecorded)
    assert {span.trace for span in collector.spans if span.service == "tritonserver"} <= {
        span.trace for span in collector.spans if span.service == "embed"
    }  # none of canaries, and none of its own


def test_a_latency_leads_to_its_trace(gateway: RunningService) -> None:
    """Exemplars, for who asks for OpenMetrics as Prometheus does when it stores them."""
    trace, _ = searched(gateway, TracerProvider(), "exemplary")
    headers = {"accept": "application/openmetrics-text; version=1.0.0"}
    request = urllib.request.Request(f"http://{gateway.metrics}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=5) as reply:
        text = reply.read().decode()
    for series in ("siftline_grpc_request_seconds", "siftline_search_stage_seconds"):
        exemplars = re.findall(rf'^{series}_bucket.* # {{trace_id="([0-9a-f]+)"}}', text, re.MULTILINE)
        assert trace in exemplars


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
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "answered\n")
