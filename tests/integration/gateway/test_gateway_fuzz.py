"""Every RPC of the gateway with inputs at random: no INTERNAL, no crash, no hang, and nothing of others is touched."""

from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import ServiceDescriptor

from gateway.api import kserve
from gateway.app import SERVICES
from gateway.dialects import kserve_pb2, tei_pb2
from siftline.cache.v1 import cache_pb2
from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2
from siftline.search.v1 import search_pb2 as pb
from tests.running.fuzzing import fuzz

FIELDS = [
    pb.Field(name="kind", type=pb.FIELD_TYPE_TAG),
    pb.Field(name="year", type=pb.FIELD_TYPE_NUMBER),
    pb.Field(name="at", type=pb.FIELD_TYPE_TIME),
    pb.Field(name="place", type=pb.FIELD_TYPE_GEO),
]
ON_THE_WIRE = {
    (kserve.SERVICE if module is kserve_pb2 else service.full_name): service
    for module in (embed_pb2, rerank_pb2, cache_pb2, pb, tei_pb2, kserve_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}


def test_there_are_no_others() -> None:
    assert set(ON_THE_WIRE) == {*SERVICES, kserve.SERVICE}


@pytest.mark.parametrize(("name", "service"), ON_THE_WIRE.items(), ids=ON_THE_WIRE)
async def test_fuzz(gateway: Any, name: str, service: ServiceDescriptor) -> None:
    await create(gateway, "known")  # the input never hits it, but often "c"
    document = pb.Document(id="a", text="text")
    await gateway.searches.Upsert(pb.UpsertRequest(collection="known", documents=[document]))
    for method in service.methods:
        await create(gateway, "c")
        sent = await fuzz(gateway.target, method, service=name)
        print(f"{sent} inputs to {name}/{method.name}")
    reply = await gateway.searches.Get(pb.GetRequest(collection="known", ids=["a"]))
    assert list(reply.documents) == [document]
    assert (await gateway.searches.Search(pb.SearchRequest(collection="known", query="text"))).hits[0].id == "a"


async def create(gateway: Any, name: str) -> None:
    with suppress(grpc.aio.AioRpcError):  # it is there already
        await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name=name, fields=FIELDS))
