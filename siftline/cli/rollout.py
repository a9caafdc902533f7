"""Bring a new model into a running embed or rerank service, without a restart and without a failed call."""

import argparse
import socket
from dataclasses import replace

import grpc

from siftline.cli import server
from siftline.client import Client
from siftline.errors import SiftlineError
from siftline.replicas import Replica, describe
from siftline.rollout.v1 import rollout_pb2 as pb

DEFAULT_PORTS = {"embed": 50051, "rerank": 50052}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", choices=("embed", "rerank"))
    parser.add_argument("model", nargs="?", help="folder in the service's --rollout-dir; none shows how things stand")
    parser.add_argument(
        "--replicas", metavar="HOST:PORT,...", help="of the service; a name stands for all of its addresses"
    )
    parser.add_argument("--abort", action="store_true", help="back to the old model")
    parser.add_argument("--parity", action="store_true", help="the new model must agree with the old on canary texts")
    parser.add_argument("--shadow-calls", type=int, metavar="N", help="calls to look on before answering (200)")
    parser.add_argument("--shadow-seconds", type=float, metavar="S", help="or so long (60)")
    parser.add_argument("--steps", type=float, nargs="+", metavar="SHARE", help="of queries (0.01 0.05 0.25 0.5 1)")
    parser.add_argument("--step-seconds", type=float, metavar="S", help="how long each lasts (60)")
    parser.add_argument("--max-error-ratio", type=float, metavar="X", help="of the new model's calls (0.01)")
    parser.add_argument("--max-slowdown", type=float, metavar="X", help="95th percentile over the old one's (1.5)")
    parser.add_argument("--linger-seconds", type=float, metavar="S", help="that the old model stays at the end (60)")
    parser.add_argument(
        "--calibrations-lapse", action="store_true", help="go on although collections are calibrated for the old model"
    )
    server.add_address(parser)


def run(options: argparse.Namespace) -> int:
    tls = server.connection(options)["tls"]
    replicas = [Replica(address, replace(tls, name=host) if tls else None) for address, host in _addresses(options)]
    try:
        with Client(**server.connection(options)) as gateway:
            return _run(options, replicas, gateway)
    finally:
        for replica in replicas:
            replica.close()


def _run(options: argparse.Namespace, replicas: list[Replica], gateway: Client) -> int:
    from siftline.rolling_out import abort, roll_out

    if options.abort:
        abort(replicas, "aborted by siftline rollout --abort")
    elif options.model:
        if options.service == "rerank" and not options.calibrations_lapse:
            _require_no_calibration(gateway)
        collections = gateway if options.service == "embed" else None
        roll_out(replicas, collections, options.model, _plan(options), lambda line: print(line, flush=True))
    for replica in replicas:
        print(f"{replica.address}: {describe(replica.state())}")
    return 0


def _require_no_calibration(gateway: Client) -> None:
    """Probabilities are fitted to one reranker; searches that ask for them would fail with another."""
    calibrated = [each.name for each in gateway.list_collections() if each.calibration is not None]
    if calibrated:
        raise SiftlineError(
            f"{', '.join(calibrated)}: calibrated for the reranker in service. After the rollout searches with "
            "min_probability would fail until siftline calibrate has run again; --calibrations-lapse does it anyway",
            code=grpc.StatusCode.FAILED_PRECONDITION,
        )


def _plan(options: argparse.Namespace) -> pb.Plan:
    names = ("shadow_calls", "shadow_seconds", "step_seconds", "max_error_ratio", "max_slowdown", "linger_seconds")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return pb.Plan(parity=options.parity, steps=options.steps or (), **given)


def _addresses(options: argparse.Namespace) -> list[tuple[str, str]]:
    """Of the replicas, and under which name; what is behind a name, each by itself."""
    named = options.replicas or server.endpoint(options.service) or f"127.0.0.1:{DEFAULT_PORTS[options.service]}"
    found: list[tuple[str, str]] = []
    for part in named.split(","):
        host, _, port = part.removeprefix("dns:///").rpartition(":")
        try:
            known = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            problem = f"--replicas: {part!r} is no HOST:PORT that leads anywhere"
            raise SiftlineError(problem, code=grpc.StatusCode.INVALID_ARGUMENT) from error
        addresses = [str(each[4][0]) for each in known]
        found.extend((f"[{each}]:{port}" if ":" in each else f"{each}:{port}", host.strip("[]")) for each in addresses)
    return list(dict.fromkeys(found))
