"""What TEI says of a request in the headers of its reply. Times are in milliseconds."""

import time

from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2


def of(
    started: float, characters: int, tokens: int, timings: embed_pb2.Timings | rerank_pb2.Timings | None = None
) -> dict[str, str]:
    """`started` as time.perf_counter gave it. The compute type is the only one that TEI knows, also without a GPU."""
    known = timings or embed_pb2.Timings()
    total = str(round((time.perf_counter() - started) * 1e3))
    return {
        "x-compute-type": "gpu+optimized",
        "x-compute-time": total,
        "x-compute-characters": str(characters),
        "x-compute-tokens": str(tokens),
        "x-total-time": total,
        "x-tokenization-time": str(round(known.tokenize_us / 1e3)),
        "x-queue-time": str(round(known.queue_us / 1e3)),
        "x-inference-time": str(round(known.compute_us / 1e3)),
    }
