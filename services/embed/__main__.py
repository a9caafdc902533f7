"""python -m services.embed: wires the embed service together and serves."""

from services.embed.encoder import Encoder
from services.embed.servicer import EmbedServicer
from services.embed.settings import EmbedSettings
from serving.health import Health
from serving.model_runtime import ModelRuntime
from serving.served_model import TOKENIZER_FILE
from serving.server import run, serve
from serving.telemetry import start_metrics_server
from serving.tokenization import TokenizerPool
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc

SERVICE = embed_pb2.DESCRIPTOR.services_by_name["EmbedService"].full_name


async def main() -> None:
    settings = EmbedSettings()
    health = Health([SERVICE])
    runtime = ModelRuntime(settings, health)
    encoder = Encoder(runtime, TokenizerPool(settings.model_dir / TOKENIZER_FILE))
    servicer = EmbedServicer(runtime, encoder, settings)
    start_metrics_server(settings.metrics)
    try:
        await serve(
            settings.listen,
            lambda server: embed_pb2_grpc.add_EmbedServiceServicer_to_server(servicer, server),
            [SERVICE],
            health,
            max_message_bytes=settings.max_message_bytes,
            drain_seconds=settings.drain_seconds,
            started=runtime.start,
        )
    finally:
        await runtime.stop()


if __name__ == "__main__":
    run(main)
