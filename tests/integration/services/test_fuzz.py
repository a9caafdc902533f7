"""Every RPC of the model services with inputs at random: no INTERNAL, no crash, no hang. Texts are computed, so these
are few."""

import pytest
from google.protobuf.descriptor import MethodDescriptor

from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2
from tests.running.fuzzing import INPUTS, fuzz
from tests.running.model_service import RunningService

METHODS = [
    (name, method)
    for name, module in (("embed", embed_pb2), ("rerank", rerank_pb2))
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@pytest.mark.parametrize(("name", "method"), METHODS, ids=lambda one: getattr(one, "full_name", one))
async def test_fuzz(name: str, method: MethodDescriptor, request: pytest.FixtureRequest) -> None:
    service: RunningService = request.getfixturevalue(f"{name}_service")
    await fuzz(service.address, method, INPUTS // 10)
    assert service.serving()
    assert service.process.poll() is None
