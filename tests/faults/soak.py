"""A long time under a steady load: no process grows, nothing is left open. `make soak SECONDS=3600`.

Clients search with texts of many lengths and write the same documents over and over; some give up half way; one embeds
and reranks, over gRPC and over HTTP. First the index and the cache are filled; after a warm-up, which does not count
within the time, the first and the last third of the samples are compared.
"""

import argparse
import asyncio
import contextlib
import logging
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import httpx
import psutil

from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc
from tests.faults import system
from tests.faults.growth import SHARE, Growth, Sample, growth
from tests.faults.load import COLLECTION, DEPTH, THINK_SECONDS, Client, Load, Probe, open_channel, text_of
from tests.faults.system import System

log = logging.getLogger(__name__)

MEGABYTE = 1 << 20
DOCUMENTS = 200  # written again and again
LONGEST = 120  # words of a text
SAMPLES = 60
CACHE_BYTES = MEGABYTE  # of entries, each more than ENTRY_BYTES: full before the warm-up, it evicts from then on
ENTRY_BYTES = 1024
AT_ONCE = 128  # texts of a request that fills it
PATIENCE = 60.0  # with a part that is silent, as where it is deployed
SHARED_MEMORY = "/dev/shm/siftline-"
COMPUTES = "python_backend"  # in the name of a process that computes
# The query engine's table of documents has a new slot for every write, a million of them at most: 24 MB an index. Here
# it has as many as are full when every document was written three times.
SMALL_TABLE = ("MAXDOCTABLESIZE", "1000")
FILLS = 3
CODES = {"OK", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED"}  # others use the machine too
TASKS = "siftline_tasks "


async def soak(
    whole: System, warm_up: float, seconds: float, think: float, calls: int = 0, models: float = SHARE
) -> list[Growth]:
    """Runs the load for both times; what each process was in the second. The first is longer where it takes longer to
    answer so many `calls`. `models`: share that those that compute may grow by."""
    _bound_cache(whole)
    samples = defaultdict[str, list[Sample]](list)
    load = Load(Client(whole.address), "soak", documents=DOCUMENTS, longest=LONGEST, impatient=True, think=think)
    await _fill_cache(whole)
    await load.fill(FILLS)
    async with load, _one_more_client(whole, think):
        await asyncio.gather(asyncio.sleep(warm_up), load.some(calls))
        processes = whole.processes()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for name, process in processes.items():
                samples[name].append(_sample(name, process, await _tasks(whole, name)))
                log.info("%s %s", name, samples[name][-1])
            await asyncio.sleep(seconds / SAMPLES)
    log.info("searches %s, writes %s", load.searches, load.writes)
    assert load.searches.good, "nothing was answered"
    assert set(load.searches.codes) <= CODES, load.searches.codes
    return [growth(name, seen, models if COMPUTES in name else SHARE) for name, seen in samples.items()]


def _bound_cache(whole: System) -> None:
    with whole.redis("cache") as cache:
        cache.config_set("maxmemory-policy", "allkeys-lfu")
        cache.config_set("maxmemory", int(cache.info("memory")["used_memory"]) + CACHE_BYTES)


async def _fill_cache(whole: System) -> None:
    dice = random.Random("cache")
    async with open_channel(whole.address) as channel:
        for _ in range(CACHE_BYTES // ENTRY_BYTES // AT_ONCE):
            request = embed_pb2.EmbedRequest(texts=[text_of(dice) for _ in range(AT_ONCE)])
            await embed_pb2_grpc.EmbedServiceStub(channel).Embed(request)


@contextlib.asynccontextmanager
async def _one_more_client(whole: System, think: float) -> AsyncIterator[None]:
    task = asyncio.create_task(_ask_on(whole, think))
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _ask_on(whole: System, think: float) -> None:
    dice = random.Random("others")
    while True:
        texts = [text_of(dice, dice.randint(1, LONGEST)) for _ in range(3)]
        try:
            await _ask_otherwise(whole, texts)
        except (grpc.aio.AioRpcError, httpx.HTTPError) as error:
            log.warning("%r", error)
        await asyncio.sleep(think)


async def _ask_otherwise(whole: System, texts: list[str]) -> None:
    """What searches do not ask for, over new connections."""
    async with open_channel(whole.address) as channel:
        await embed_pb2_grpc.EmbedServiceStub(channel).Embed(embed_pb2.EmbedRequest(texts=texts))
        request = rerank_pb2.RerankRequest(query=texts[0], passages=texts)
        await rerank_pb2_grpc.RerankServiceStub(channel).Rerank(request)
    async with httpx.AsyncClient(base_url=f"http://{whole.http}", timeout=30) as client:
        (await client.post("/v1/embeddings", json={"model": "any", "input": texts})).raise_for_status()
        search = {"collection": COLLECTION, "query": texts[1], "recall_depth": DEPTH}
        (await client.post("/v1/search", json=search)).raise_for_status()


async def _tasks(whole: System, name: str) -> float:
    if name not in whole.metrics:
        return 0
    async with httpx.AsyncClient() as client:
        page = (await client.get(f"http://{whole.metrics[name]}/metrics")).text
    return next(float(line.removeprefix(TASKS)) for line in page.splitlines() if line.startswith(TASKS))


def _sample(name: str, process: psutil.Process, tasks: float) -> Sample:
    try:
        shared = {one.path for one in process.memory_maps() if one.path.startswith(SHARED_MEMORY)}
        resident = process.memory_info().rss / MEGABYTE
        return Sample(resident, process.num_fds(), process.num_threads(), len(shared), tasks)
    except psutil.NoSuchProcess as error:
        raise AssertionError(f"{name} has ended; another in its place can't be compared with it") from error


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--warm-up", type=float, help="default: a sixth of the time")
    parser.add_argument("--think", type=float, default=THINK_SECONDS, help="seconds that a client waits between calls")
    parser.add_argument("--models", type=float, default=SHARE, help="share that processes that compute may grow by")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    warm_up = options.seconds / 6 if options.warm_up is None else options.warm_up
    async with system.running(Path(tempfile.mkdtemp()), Path("build/models"), PATIENCE, SMALL_TABLE) as whole:
        probe = Probe(Client(whole.address))
        await probe.create()
        await probe.aclose()
        growths = await soak(whole, warm_up, options.seconds, options.think, models=options.models)
        print(f"{options.seconds:.0f} s after {warm_up:.0f} s of warm-up")
    for one in growths:
        print(one.line())
    return int(any(one.grew for one in growths))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
