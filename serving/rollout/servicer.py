"""siftline.rollout.v1.RolloutService on the wire. Models are named, never given by path."""

from pathlib import Path
from typing import Any

import grpc

from serving.errors import InvalidArgument
from serving.rollout.plan import Plan
from serving.rollout.rollout import Rollout
from siftline.rollout.v1 import rollout_pb2 as pb
from siftline.rollout.v1 import rollout_pb2_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["RolloutService"].full_name


class RolloutServicer(rollout_pb2_grpc.RolloutServiceServicer):
    """The service as its proto describes it, for the models in `folder`."""

    def __init__(self, rollout: Rollout[Any], folder: Path) -> None:
        self._rollout = rollout
        self._folder = folder

    async def StartRollout(
        self, request: pb.StartRolloutRequest, context: grpc.aio.ServicerContext
    ) -> pb.StartRolloutResponse:
        name = request.model
        if not name or name in (".", "..") or Path(name).name != name:
            raise InvalidArgument("model", f"{name!r:.80} is not the name of a folder in this service's rollout_dir")
        await self._rollout.start(self._folder / name, Plan.of(request.plan))
        return pb.StartRolloutResponse(rollout=self._rollout.state)

    async def GetRollout(
        self, request: pb.GetRolloutRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetRolloutResponse:
        return pb.GetRolloutResponse(rollout=self._rollout.state)

    async def Promote(self, request: pb.PromoteRequest, context: grpc.aio.ServicerContext) -> pb.PromoteResponse:
        await self._rollout.promote()
        return pb.PromoteResponse(rollout=self._rollout.state)

    async def Finish(self, request: pb.FinishRequest, context: grpc.aio.ServicerContext) -> pb.FinishResponse:
        self._rollout.finish()
        return pb.FinishResponse(rollout=self._rollout.state)

    async def Abort(self, request: pb.AbortRequest, context: grpc.aio.ServicerContext) -> pb.AbortResponse:
        await self._rollout.abort(request.reason)
        return pb.AbortResponse(rollout=self._rollout.state)
