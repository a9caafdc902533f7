"""endpoints.json is true, and nothing listens beyond this machine."""

import socket
import urllib.request
from typing import Any

import grpc
import redis
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.running.stack import RunningStack


def addresses(value: Any) -> list[str]:
    """host:port of everything in endpoints.json, also out of URLs."""
    if isinstance(value, dict):
        return [address for each in value.values() for address in addresses(each)]
    return [str(value).rpartition("://")[2].partition("/")[0]]


def test_every_grpc_address_says_that_it_serves(shared_stack: RunningStack) -> None:
    for name in ("gateway", "embed", "rerank"):
        with grpc.insecure_channel(shared_stack.endpoints[name]) as channel:
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING, name


def test_every_metrics_address_answers(shared_stack: RunningStack) -> None:
    endpoints = shared_stack.endpoints
    tritons = [endpoints["embed_triton"]["metrics"], endpoints["rerank_triton"]["metrics"]]
    for url in (*tritons, *(endpoints[f"{name}_metrics"] for name in ("gateway", "embed", "rerank"))):
        with urllib.request.urlopen(url, timeout=30) as reply:
            assert b"# HELP" in reply.read(), url


def test_both_tritons_and_redis_answer(shared_stack: RunningStack) -> None:
    for name in ("embed_triton", "rerank_triton"):
        with urllib.request.urlopen(f"{shared_stack.endpoints[name]['http']}/v2/health/ready", timeout=30) as reply:
            assert reply.status == 200
    with redis.Redis.from_url(shared_stack.endpoints["redis"]) as connection:
        assert connection.ping()


def test_everything_listens_on_loopback_only(shared_stack: RunningStack) -> None:
    found = addresses(shared_stack.endpoints)
    assert len(found) == 14
    for host, _, port in (address.rpartition(":") for address in found):
        assert host == "127.0.0.1"
        with socket.socket() as beyond:
            # A listener on every address would answer here too.
            assert beyond.connect_ex(("127.0.0.2", int(port))) != 0, port
