"""CacheService: the embedding cache as its operator sees it."""

import grpc

from gateway.cache_contents import CacheContents
from gateway.caller import CALLER
from gateway.clients import EmbedClient
from gateway.deadline import Deadline
from gateway.metrics import cache_hit_ratio
from serving.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from siftline.cache.v1 import cache_pb2 as pb
from siftline.cache.v1 import cache_pb2_grpc

FINGERPRINT_CHARACTERS = 16
_SECONDS = 300.0  # of a call without a deadline: a large cache takes its time


class CacheServicer(cache_pb2_grpc.CacheServiceServicer):
    """`contents` is None when there is no cache."""

    def __init__(self, contents: CacheContents | None, client: EmbedClient) -> None:
        self._contents = contents
        self._client = client

    async def Stats(self, request: pb.StatsRequest, context: grpc.aio.ServicerContext) -> pb.StatsResponse:
        deadline = Deadline.of(context, _SECONDS)
        model = await self._client.model(deadline)
        held = await self._for_operators().sizes(deadline.require())
        models = [
            pb.Model(
                fingerprint=fingerprint,
                entries=entries,
                bytes=size,
                in_service=model.fingerprint.startswith(fingerprint),
            )
            for fingerprint, (entries, size) in sorted(held.items(), key=lambda item: -item[1][0])
        ]
        return pb.StatsResponse(models=models, hit_ratio=cache_hit_ratio())

    async def Purge(self, request: pb.PurgeRequest, context: grpc.aio.ServicerContext) -> pb.PurgeResponse:
        asked = request.fingerprint
        if asked and (len(asked) < FINGERPRINT_CHARACTERS or not asked.isalnum()):
            raise InvalidArgument("fingerprint", f"{asked[:80]!r} is not {FINGERPRINT_CHARACTERS} digits or more")
        deadline = Deadline.of(context, _SECONDS)
        removed = await self._for_operators().remove(asked[:FINGERPRINT_CHARACTERS], deadline.require())
        return pb.PurgeResponse(entries=removed)

    def _for_operators(self) -> CacheContents:
        if CALLER.get().tenant:
            raise PermissionDenied("the cache is shared by all tenants: this takes a key without one")
        if self._contents is None:
            raise FailedPrecondition("this gateway has no cache (cache-url is empty)")
        return self._contents
