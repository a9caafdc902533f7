"""python -m services.rerank: wires the rerank service together and serves."""

import grpc

from services.rerank.scorer import Scorer
from services.rerank.servicer import RerankServicer
from services.rerank.settings import RerankSettings
from serving.model_runtime import ModelRuntime
from serving.model_service import serve_model
from serving.served_model import TOKENIZER_FILE
from serving.server import run
from serving.tokenization import TokenizerPool
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc

SERVICE = rerank_pb2.DESCRIPTOR.services_by_name["RerankService"].full_name


async def main() -> None:
    settings = RerankSettings()

    def register(server: grpc.aio.Server, runtime: ModelRuntime) -> None:
        scorer = Scorer(runtime, TokenizerPool(settings.model_dir / TOKENIZER_FILE), settings.max_windows)
        rerank_pb2_grpc.add_RerankServiceServicer_to_server(RerankServicer(runtime, scorer, settings), server)

    await serve_model("services.rerank", SERVICE, settings, register)


if __name__ == "__main__":
    run(main)
