"""fp32 on request: reported as such, and a text's vector is the same alone and among 63 others."""

from pathlib import Path

import grpc
import numpy as np

from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from tests.running import model_service

TEXT = "A token budget keeps batches small when texts are long."


def test_a_text_alone_and_among_63_others(default_models: Path, tmp_path: Path) -> None:
    flags = ("--precision=fp32", "--batch-tokens=1024")
    with (
        model_service.running("services.embed", default_models / "all-minilm-l6-v2", tmp_path, *flags) as service,
        grpc.insecure_channel(service.address) as channel,
    ):
        stub = embed_pb2_grpc.EmbedServiceStub(channel)
        assert stub.GetModel(embed_pb2.GetModelRequest()).precision == "fp32"
        mates = [f"another text {'with more words ' * (i % 12)}" for i in range(63)]
        alone, among = (
            np.frombuffer(stub.Embed(embed_pb2.EmbedRequest(texts=texts)).vectors, "<f4").reshape(-1, 384)[0]
            for texts in ([TEXT], [TEXT, *mates])
        )
    assert np.abs(alone - among).max() <= 1e-6
