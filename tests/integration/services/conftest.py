import grpc
import pytest

from siftline.embed.v1 import embed_pb2_grpc
from siftline.rerank.v1 import rerank_pb2_grpc
from tests.running.model_service import RunningService

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.fixture(scope="module")
def embed(embed_service: RunningService) -> embed_pb2_grpc.EmbedServiceStub:
    with grpc.insecure_channel(embed_service.address, options=UNLIMITED) as channel:
        yield embed_pb2_grpc.EmbedServiceStub(channel)


@pytest.fixture(scope="module")
def rerank(rerank_service: RunningService) -> rerank_pb2_grpc.RerankServiceStub:
    with grpc.insecure_channel(rerank_service.address, options=UNLIMITED) as channel:
        yield rerank_pb2_grpc.RerankServiceStub(channel)
