"""python -m services.rerank: wires the rerank service together and serves."""

import grpc

from services.rerank.model import RerankModel
from services.rerank.servicer import RerankServicer
from services.rerank.settings import RerankSettings
from serving.model_service import ModelService, serve_model
from serving.rollout.versions import Versions
from serving.server import run
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc

SERVICE = rerank_pb2.DESCRIPTOR.services_by_name["RerankService"].full_name


async def main() -> None:
    settings = RerankSettings()

    def register(server: grpc.aio.Server, versions: Versions[RerankModel]) -> None:
        rerank_pb2_grpc.add_RerankServiceServicer_to_server(RerankServicer(versions), server)

    service = ModelService(
        "services.rerank",
        SERVICE,
        lambda runtime, tokenizer: RerankModel(runtime, tokenizer, settings),
        register,
        splits=True,
    )
    await serve_model(service, settings)


if __name__ == "__main__":
    run(main)
