"""Every RPC of the gateway with inputs at random: no INTERNAL, no crash, no hang, and nothing of others is touched."""

from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor

from siftline.cache.v1 import cache_pb2
from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2
from siftline.search.v1 import search_pb2 as pb
from tests.running.fuzzing import fuzz

METHODS = [
    method
    for module in (embed_pb2, rerank_pb2, cache_pb2, pb)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name.removeprefix("siftline."))
async def test_fuzz(gateway: Any, method: MethodDescriptor) -> None:
    fields = [pb.Field(name="kind", type=pb.FIELD_TYPE_TAG), pb.Field(name="year", type=pb.FIELD_TYPE_NUMBER)]
    fields += [pb.Field(name="at", type=pb.FIELD_TYPE_TIME), pb.Field(name="place", type=pb.FIELD_TYPE_GEO)]
    for name in ("known", "c"):  # the input hits "c" often, and "known" never
        await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name=name, fields=fields))
    document = pb.Document(id="a", text="text")
    await gateway.searches.Upsert(pb.UpsertRequest(collection="known", documents=[document]))
    await fuzz(gateway.target, method)
    reply = await gateway.searches.Get(pb.GetRequest(collection="known", ids=["a"]))
    assert list(reply.documents) == [document]
    assert (await gateway.searches.Search(pb.SearchRequest(collection="known", query="text"))).hits[0].id == "a"
