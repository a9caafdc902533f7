"""How a channel to a siftline server is set up: balancing, retries, keepalive, message sizes."""

import json
from typing import Any

from siftline import calls

MEGABYTE = 1 << 20
MAX_MESSAGE_BYTES = 64 * MEGABYTE
# A server that is cut off without a word is noticed after both. Servers bear a ping every ten seconds.
KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS = 30_000, 10_000

# Calls that may be carried out twice without harm. Upsert is one of them: an id that exists is replaced.
_IDEMPOTENT = {
    calls.EMBED: ("Embed", "GetModel"),
    calls.RERANK: ("Rerank", "GetModel"),
    calls.SEARCH: ("Search", "Upsert", "Delete", "Get", "Count", "GetCollection", "ListCollections", "SetCalibration"),
}

# gRPC adds jitter, and waits as long as an overloaded server asks for (grpc-retry-pushback-ms) instead of these.
_RETRY = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "3s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
}


# Once half of these failures came together, calls fail at once; ten that succeed make up for one.
_THROTTLING = {"maxTokens": 100, "tokenRatio": 0.1}


def service_config() -> str:
    names = [
        {"service": service.strip("/"), "method": method}
        for service, methods in _IDEMPOTENT.items()
        for method in methods
    ]
    methods = [{"name": names, "retryPolicy": _RETRY}]
    balanced = {"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": methods}
    return json.dumps(balanced | {"retryThrottling": _THROTTLING})


def options(target: str, name: str = "") -> list[tuple[str, Any]]:
    """Channel arguments for the address `target`; `name` is what its certificate is for, if not for its host."""
    return [
        *([("grpc.ssl_target_name_override", name)] if name else []),
        ("grpc.service_config", service_config()),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # A request that does not fit is sent once and never again; the default is 256 KiB.
        ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        # The one above does nothing without this (grpcio 1.80); the default is a minute.
        ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # http_proxy of the environment is not meant for this machine.
        ("grpc.enable_http_proxy", int(not _is_local(target))),
    ]


def _is_local(target: str) -> bool:
    return target.startswith(("127.", "localhost:", "[::1]", "unix:"))
