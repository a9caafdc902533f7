"""The replicas of a model service, as a rollout talks to them: each by itself."""

from typing import Any

import grpc

from siftline import channel, errors
from siftline.rollout.v1 import rollout_pb2 as pb
from siftline.rollout.v1 import rollout_pb2_grpc
from siftline.tls import TLS, read

CALL_SECONDS = 30.0


class Replica:
    """One process of a model service."""

    def __init__(self, address: str, tls: TLS | None = None) -> None:
        """In clear without `tls`; its `name` is what the certificate is for. Raises SiftlineError for wrong files."""
        self.address = address
        options = channel.options(address, tls.name if tls is not None else "")
        if tls is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, read(tls).for_client(), options)
        self._stub = rollout_pb2_grpc.RolloutServiceStub(self._channel)

    def start(self, model: str, plan: pb.Plan) -> pb.Rollout:
        return self._call(self._stub.StartRollout, pb.StartRolloutRequest(model=model, plan=plan))

    def state(self) -> pb.Rollout:
        return self._call(self._stub.GetRollout, pb.GetRolloutRequest())

    def promote(self) -> pb.Rollout:
        return self._call(self._stub.Promote, pb.PromoteRequest())

    def finish(self) -> pb.Rollout:
        return self._call(self._stub.Finish, pb.FinishRequest())

    def abort(self, reason: str) -> pb.Rollout:
        return self._call(self._stub.Abort, pb.AbortRequest(reason=reason))

    def close(self) -> None:
        self._channel.close()

    def _call(self, method: Any, request: Any) -> pb.Rollout:
        try:
            state: pb.Rollout = method(request, timeout=CALL_SECONDS).rollout
        except grpc.RpcError as error:
            raise errors.from_call(error) from error
        return state


def describe(state: pb.Rollout) -> str:
    """One line for people."""
    name = pb.Phase.Name(state.phase).removeprefix("PHASE_").lower().replace("_", " ")
    if state.phase == pb.PHASE_UNSPECIFIED:
        return "no rollout"
    parts = [f"{state.model} {name}"]
    if state.phase == pb.PHASE_SHIFTING:
        parts.append(f"{state.weight:.0%} of the queries")
    if state.HasField("agreement"):
        parts.append(f"agreement {state.agreement:.4f}")
    if state.reason:
        parts.append(state.reason)
    return ", ".join(parts)
