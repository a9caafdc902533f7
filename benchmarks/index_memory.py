"""How much memory the index takes per passage: real passages, random vectors, an embedded server that holds both.

    python -m benchmarks.index_memory      # writes benchmarks/results/index-memory.json

Text and vector are stored once as a document and once in the index; so a passage costs a constant, a part for each
byte of text and a part for each dimension. The parts are fitted to collections of two text lengths and two widths.
"""

import asyncio
import gzip
import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.processes import free_ports
from gateway.recall import Collection, Document, Indexed
from gateway.recall.redis_index import RedisIndex
from local import redis

RESULT = Path("benchmarks/results/index-memory.json")
DATA = Path("../shared/data/squadshifts-new-wiki/corpus.jsonl.gz")
PASSAGES = 8000
BATCH = 500
SHAPES = ((384, 300), (384, 900), (1024, 300), (1024, 900))  # dimensions, characters at most


@dataclass(frozen=True)
class Figure:
    dimensions: int
    mean_text_bytes: float
    passages: int
    bytes_per_passage: float


async def main() -> None:
    texts = [json.loads(line)["text"] for line in gzip.decompress(DATA.read_bytes()).decode().splitlines()]
    texts = (texts * (1 + PASSAGES // len(texts)))[:PASSAGES]
    figures = [await _measure([text[:length] for text in texts], dimensions) for dimensions, length in SHAPES]
    matrix = np.array([[1.0, each.mean_text_bytes, each.dimensions] for each in figures])
    parts, *_ = np.linalg.lstsq(matrix, np.array([each.bytes_per_passage for each in figures]), rcond=None)
    fitted = dict(zip(("bytes", "bytes_per_text_byte", "bytes_per_dimension"), map(float, parts), strict=True))
    facts = {
        "date": date.today().isoformat(),
        "server": "valkey-server 9.1 with redisearch 2.10, fp16 HNSW, M 16, text indexed for BM25",
        "figures": [asdict(each) for each in figures],
        "fitted": fitted,
    }
    RESULT.write_text(json.dumps(facts, indent=1) + "\n")
    print(RESULT.read_text())


async def _measure(texts: list[str], dimensions: int) -> Figure:
    port = free_ports(1)[0]
    with tempfile.TemporaryDirectory() as folder:
        log = (Path(folder) / "log").open("wb")
        server = subprocess.Popen(redis.embedded_command(port, Path(folder) / "data"), stdout=log, stderr=log)
        index = RedisIndex(redis.embedded_url(port), timeout_s=60, ef_runtime=200, durable=False)
        try:
            return await _filled(index, texts, dimensions)
        finally:
            await index.aclose()
            server.terminate()
            server.wait()
            log.close()


async def _filled(index: RedisIndex, texts: list[str], dimensions: int) -> Figure:
    while not await index.is_ready():
        await asyncio.sleep(0.1)
    before = await _used(index)
    collection = Collection("c", "0" * 16, "f" * 32, "m", dimensions, {}, 0.0)
    await index.create(collection, 60)
    vectors = np.random.default_rng(0).normal(size=(len(texts), dimensions)).astype("<f2")
    for at in range(0, len(texts), BATCH):
        batch = [
            Indexed(Document(f"document-{number}", texts[number]), vectors[number].tobytes())
            for number in range(at, min(at + BATCH, len(texts)))
        ]
        await index.upsert(collection, batch, 60)
    used = await _used(index) - before
    size = sum(len(text.encode()) for text in texts) / len(texts)
    return Figure(dimensions, round(size, 1), len(texts), round(used / len(texts), 1))


async def _used(index: RedisIndex) -> int:
    return int((await index.redis.info("memory"))["used_memory"])


if __name__ == "__main__":
    asyncio.run(main())
