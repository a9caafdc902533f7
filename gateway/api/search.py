"""SearchService."""

import time
from collections.abc import AsyncIterator

import grpc

from gateway import estimate, validation
from gateway.admission import Admission
from gateway.api import convert, documents
from gateway.caller import CALLER
from gateway.chunks import Chunks
from gateway.clients import EmbedClient
from gateway.deadline import Deadline
from gateway.ingest import Ingest
from gateway.intake import Intake
from gateway.patience import patiently
from gateway.recall import ENGLISH, Collection, Recall
from gateway.recall.filter import parse
from gateway.recall.registry import Registry
from gateway.reindex import Reindex
from gateway.search import Search
from gateway.settings import GatewaySettings
from serving.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from siftline.search.v1 import search_pb2 as pb
from siftline.search.v1 import search_pb2_grpc


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    def __init__(
        self,
        settings: GatewaySettings,
        registry: Registry,
        index: Recall,
        chunks: Chunks,
        client: EmbedClient,
        ingest: Ingest,
        search: Search,
        reindex: Reindex,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._index = index
        self._chunks = chunks
        self._client = client
        self._ingest = ingest
        self._search = search
        self._reindex = reindex
        self._searches = Admission("search", settings.max_searches, estimate.USUAL_SEARCH)
        self._upserts = Admission("upsert", settings.max_upserts, estimate.USUAL_UPSERT)

    async def CreateCollection(
        self, request: pb.CreateCollectionRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateCollectionResponse:
        validation.create_collection(request)
        model = await self._client.refresh(self._deadline(context))
        if request.fingerprint not in ("", model.fingerprint):
            raise FailedPrecondition(
                f"fingerprint: {request.fingerprint!r:.80} was asked for, but the model in service, {model.name!r}, "
                f"has {model.fingerprint!r}",
                reason="MODEL_MISMATCH",
            )
        weighted = request.HasField("recall_weight")
        collection = await self._registry.create(
            request.name,
            fingerprint=model.fingerprint,
            model=model.name,
            dimensions=model.dimensions,
            fields=convert.fields(request.fields),
            recall_weight=request.recall_weight if weighted else self._settings.recall_weight,
            language=request.language or ENGLISH,
        )
        return pb.CreateCollectionResponse(collection=convert.collection(collection, 0))

    async def GetCollection(
        self, request: pb.GetCollectionRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetCollectionResponse:
        collection = await self._named("name", request.name)
        count = await self._index.count(collection, None, self._deadline(context).require())
        return pb.GetCollectionResponse(collection=convert.collection(collection, count))

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListCollectionsResponse:
        deadline, response = self._deadline(context), pb.ListCollectionsResponse()
        for collection in await self._registry.all():
            count = await self._index.count(collection, None, deadline.require())
            response.collections.append(convert.collection(collection, count))
        return response

    async def DropCollection(
        self, request: pb.DropCollectionRequest, context: grpc.aio.ServicerContext
    ) -> pb.DropCollectionResponse:
        validation.collection_name("name", request.name)
        await self._registry.drop(request.name)
        return pb.DropCollectionResponse()

    async def Reindex(self, request: pb.ReindexRequest, context: grpc.aio.ServicerContext) -> pb.ReindexResponse:
        validation.reindex(request)
        fields = convert.fields(request.fields.fields) if request.HasField("fields") else None
        deadline = Deadline.of(context, _STREAM_DEADLINE_S)
        collection, stored = await self._reindex.run(request.name, fields, deadline, request.fingerprint)
        count = await self._index.count(collection, None, deadline.require())
        return pb.ReindexResponse(
            collection=convert.collection(collection, count),
            documents=stored.documents,
            tokens=stored.tokens,
            reused=stored.reused,
        )

    async def ReindexAll(
        self, request: pb.ReindexAllRequest, context: grpc.aio.ServicerContext
    ) -> pb.ReindexAllResponse:
        if CALLER.get().tenant:
            raise PermissionDenied("the collections of all tenants are for a key without a tenant")
        validation.reindex_all(request)
        deadline = Deadline.of(context, _STREAM_DEADLINE_S)
        done = await self._reindex.everything(request.old_fingerprint, request.new_fingerprint, deadline)
        return pb.ReindexAllResponse(
            collections=len(done),
            documents=sum(stored.documents for stored in done),
            tokens=sum(stored.tokens for stored in done),
        )

    async def Upsert(self, request: pb.UpsertRequest, context: grpc.aio.ServicerContext) -> pb.UpsertResponse:
        validation.upsert(request.collection, request.durability)
        intake, durable = Intake(request.skip_invalid), documents.DURABLE[request.durability]
        chunking = documents.chunking(request)
        with self._upserts.admit(CALLER.get().tenant, estimate.of_upsert(request)):
            arriving = documents.of_request(request, intake)
            deadline = self._deadline(context)
            stored = await self._ingest.run(request.collection, arriving, deadline, intake, durable, chunking)
        return pb.UpsertResponse(
            upserted=stored.documents,
            tokens=stored.tokens,
            reused=stored.reused,
            errors=convert.errors(intake),
            skipped=intake.skipped,
            unchanged=stored.unchanged,
        )

    async def UpsertStream(
        self, requests: AsyncIterator[pb.UpsertStreamRequest], context: grpc.aio.ServicerContext
    ) -> pb.UpsertStreamResponse:
        first = await anext(aiter(requests), None)
        if first is None:
            raise InvalidArgument("collection", "the stream ended before its first message")
        validation.upsert(first.collection, first.durability)
        intake, durable = Intake(first.skip_invalid), documents.DURABLE[first.durability]
        chunking = documents.chunking(first)
        with self._upserts.admit(CALLER.get().tenant, estimate.of_upsert(first)):
            arriving = documents.of_stream(first, requests, intake)
            deadline = Deadline.of(context, _STREAM_DEADLINE_S)
            stored = await self._ingest.run(first.collection, arriving, deadline, intake, durable, chunking)
        return pb.UpsertStreamResponse(
            upserted=stored.documents,
            tokens=stored.tokens,
            reused=stored.reused,
            errors=convert.errors(intake),
            skipped=intake.skipped,
            unchanged=stored.unchanged,
        )

    async def Delete(self, request: pb.DeleteRequest, context: grpc.aio.ServicerContext) -> pb.DeleteResponse:
        validation.ids(request.ids)
        validation.collection_name("collection", request.collection)
        deadline = self._deadline(context)

        async def attempt() -> int:
            collection = await self._registry.get(request.collection)
            return await self._chunks.delete(collection, request.ids, deadline)

        return pb.DeleteResponse(deleted=await patiently(attempt, self._settings.upsert_patience_s, deadline))

    async def Get(self, request: pb.GetRequest, context: grpc.aio.ServicerContext) -> pb.GetResponse:
        validation.ids(request.ids)
        collection = await self._named("collection", request.collection)
        documents = await self._index.get(collection, request.ids, self._deadline(context).require())
        return pb.GetResponse(documents=map(convert.document, documents))

    async def Count(self, request: pb.CountRequest, context: grpc.aio.ServicerContext) -> pb.CountResponse:
        validation.filter_text(request.filter)
        collection = await self._named("collection", request.collection)
        where = parse(request.filter, collection.fields)
        return pb.CountResponse(count=await self._index.count(collection, where, self._deadline(context).require()))

    async def SetCalibration(
        self, request: pb.SetCalibrationRequest, context: grpc.aio.ServicerContext
    ) -> pb.SetCalibrationResponse:
        validation.set_calibration(request)
        weight = request.recall_weight if request.HasField("recall_weight") else None
        collection = await self._registry.calibrate(request.collection, convert.calibration(request), weight)
        count = await self._index.count(collection, None, self._deadline(context).require())
        return pb.SetCalibrationResponse(collection=convert.collection(collection, count))

    async def Search(self, request: pb.SearchRequest, context: grpc.aio.ServicerContext) -> pb.SearchResponse:
        started, deadline = time.perf_counter(), self._deadline(context)
        validation.search_request(request)
        with self._searches.admit(CALLER.get().tenant, estimate.of_search(request)) as admission:
            found = await self._search.run(convert.query(request), deadline)
            admission.learn(crowded=found.crowded)
        response = convert.found(found, request)
        response.timings.total_us = int((time.perf_counter() - started) * 1e6)
        return response

    def _deadline(self, context: grpc.aio.ServicerContext) -> Deadline:
        return Deadline.of(context, self._settings.default_deadline_s)

    async def _named(self, field: str, name: str) -> Collection:
        validation.collection_name(field, name)
        return await self._registry.get(name)


_STREAM_DEADLINE_S = 3600.0  # a stream without a deadline lasts as long as its client goes on sending
