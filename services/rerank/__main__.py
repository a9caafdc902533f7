"""python -m services.rerank: wires the rerank service together and serves."""

from services.rerank.scorer import Scorer
from services.rerank.servicer import RerankServicer
from services.rerank.settings import RerankSettings
from serving.health import Health
from serving.model_runtime import ModelRuntime
from serving.served_model import TOKENIZER_FILE
from serving.server import run, serve
from serving.telemetry import start_metrics_server
from serving.tokenization import TokenizerPool
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc

SERVICE = rerank_pb2.DESCRIPTOR.services_by_name["RerankService"].full_name


async def main() -> None:
    settings = RerankSettings()
    health = Health([SERVICE])
    runtime = ModelRuntime(settings, health)
    scorer = Scorer(runtime, TokenizerPool(settings.model_dir / TOKENIZER_FILE), settings.max_windows)
    servicer = RerankServicer(runtime, scorer, settings)
    start_metrics_server(settings.metrics)
    try:
        await serve(
            settings.listen,
            lambda server: rerank_pb2_grpc.add_RerankServiceServicer_to_server(servicer, server),
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
