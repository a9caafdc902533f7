"""python -m services.embed: wires the embed service together and serves."""

import grpc

from services.embed.encoder import Encoder
from services.embed.servicer import EmbedServicer
from services.embed.settings import EmbedSettings
from serving.model_runtime import ModelRuntime
from serving.model_service import serve_model
from serving.served_model import TOKENIZER_FILE
from serving.server import run
from serving.tokenization import TokenizerPool
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc

SERVICE = embed_pb2.DESCRIPTOR.services_by_name["EmbedService"].full_name


async def main() -> None:
    settings = EmbedSettings()

    def register(server: grpc.aio.Server, runtime: ModelRuntime) -> None:
        tokenizer = TokenizerPool(settings.model_dir / TOKENIZER_FILE)
        encoder = Encoder(runtime, tokenizer, settings.max_message_bytes)
        embed_pb2_grpc.add_EmbedServiceServicer_to_server(EmbedServicer(runtime, encoder, settings), server)

    await serve_model("services.embed", SERVICE, settings, register)


if __name__ == "__main__":
    run(main)
