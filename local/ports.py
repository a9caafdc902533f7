"""Which loopback port every part of the one-machine stack listens on."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import astuple, dataclass, fields

from serving.errors import InvalidArgument, Unavailable

HOST = "127.0.0.1"
LAST_PORT = 65535
FREE_RANGE = range(12000, 32000)


@dataclass(frozen=True)
class Ports:
    """The defaults are consecutive and seldom taken: a machine that has a Redis, a Triton or an exporter keeps it."""

    gateway: int = 50050
    embed: int = 50051
    rerank: int = 50052
    gateway_metrics: int = 50053
    embed_metrics: int = 50054
    rerank_metrics: int = 50055
    embed_triton_grpc: int = 50056
    embed_triton_http: int = 50057
    embed_triton_metrics: int = 50058
    rerank_triton_grpc: int = 50059
    rerank_triton_http: int = 50060
    rerank_triton_metrics: int = 50061
    redis: int = 50062
    gateway_http: int = 50063

    def __iter__(self) -> Iterator[int]:
        return iter(astuple(self))


COUNT = len(fields(Ports))


def from_base(base: int) -> Ports:
    """Consecutive ports from `base` on; 0 picks ports that are free now."""
    if base == 0:
        return Ports(*free(COUNT))
    if not 1024 <= base <= LAST_PORT - COUNT:
        raise InvalidArgument("port-base", f"{base} is not 0 or between 1024 and {LAST_PORT - COUNT}")
    return Ports(*range(base, base + COUNT))


def require_free(ports: Ports, without: str) -> None:
    """Unavailable, naming the first port that something else listens on; `without` names a part that is not started."""
    for field, port in zip(fields(ports), ports, strict=True):
        if field.name == without:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                name = field.name.replace("_", " ")
                raise Unavailable(
                    f"port {port} ({name}) cannot be used: {error.strerror}; choose others with --port-base",
                    reason="PORT_IN_USE",
                ) from error


def free(count: int) -> list[int]:
    """Below the range that outgoing connections take theirs from, or one might sit on a port before its server does."""
    with ExitStack() as held:
        found: list[int] = []
        for port in random.sample(FREE_RANGE, len(FREE_RANGE)):
            with suppress(OSError):
                held.enter_context(socket.create_server((HOST, port)))
                found.append(port)
            if len(found) == count:
                return found
    raise Unavailable(f"fewer than {count} ports are free between {FREE_RANGE[0]} and {FREE_RANGE[-1]}")
