"""python -m services.embed: wires the embed service together and serves."""

import grpc

from services.embed.model import EmbedModel
from services.embed.servicer import EmbedServicer
from services.embed.settings import EmbedSettings
from serving.model_service import ModelService, serve_model
from serving.rollout.versions import Versions
from serving.server import run
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc

SERVICE = embed_pb2.DESCRIPTOR.services_by_name["EmbedService"].full_name


async def main() -> None:
    settings = EmbedSettings()

    def register(server: grpc.aio.Server, versions: Versions[EmbedModel]) -> None:
        embed_pb2_grpc.add_EmbedServiceServicer_to_server(EmbedServicer(versions), server)

    service = ModelService(
        "services.embed",
        SERVICE,
        lambda runtime, tokenizer: EmbedModel(runtime, tokenizer, settings),
        register,
        splits=False,  # vectors of two models must not meet
    )
    await serve_model(service, settings)


if __name__ == "__main__":
    run(main)
