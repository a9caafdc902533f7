"""More searches than the system can answer: what it still answers, and how it refuses the rest."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from siftline.search.v1 import search_pb2 as pb
from siftline.search.v1 import search_pb2_grpc
from tests.faults.load import COLLECTION, open_channel, text_of

DEPTH = 50  # of a search where nothing else is asked for
PATIENCE_SECONDS = 5.0
BUSY = 8  # clients that keep the system busy without waiting long
FILL_SECONDS = 2.0  # after which queues are as full as they get


@dataclass
class Answers:
    """Of one run: answers by code, degraded ones by reason, whole ones in the window, refusals without RetryInfo."""

    begin: float
    end: float
    codes: Counter[str] = field(default_factory=Counter)
    degraded: Counter[str] = field(default_factory=Counter)
    whole: int = 0
    mute: int = 0

    @classmethod
    def over(cls, seconds: float) -> "Answers":
        """Of a run that begins now; answers are counted for so many seconds from when the queues are full."""
        begin = time.monotonic() + FILL_SECONDS
        return cls(begin, begin + seconds)

    @property
    def seconds(self) -> float:
        return self.end - self.begin

    @property
    def goodput(self) -> float:
        """Answers with both stages, per second."""
        return self.whole / self.seconds


class Crowd:
    """Clients of one gateway, over a few connections."""

    def __init__(self, address: str) -> None:
        self._channels = [open_channel(address) for _ in range(4)]
        self._stubs: list[Any] = [search_pb2_grpc.SearchServiceStub(channel) for channel in self._channels]
        self._dice = random.Random(0)

    async def aclose(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def capacity(self, seconds: float) -> Answers:
        """As many searches as BUSY clients get answered when each asks again at once, or when it is told to."""
        answers = Answers.over(seconds)

        async def ask_on() -> None:
            while time.monotonic() < answers.end:
                await asyncio.sleep(await self._ask(answers))

        await asyncio.gather(*(ask_on() for _ in range(BUSY)))
        return answers

    async def burst(self, rate: float, seconds: float) -> Answers:
        """`rate` searches a second, whatever becomes of them."""
        answers, asked = Answers.over(seconds), []
        started = time.monotonic()
        while (now := time.monotonic()) < answers.end:
            due = int((now - started) * rate) - len(asked)
            asked += [asyncio.create_task(self._ask(answers)) for _ in range(due)]
            await asyncio.sleep(0.01)
        await asyncio.gather(*asked)
        return answers

    async def _ask(self, answers: Answers) -> float:
        """Seconds after which to come back."""
        stub = self._dice.choice(self._stubs)
        request = pb.SearchRequest(collection=COLLECTION, query=text_of(self._dice), recall_depth=DEPTH, top_k=3)
        try:
            reply = await stub.Search(request, timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            answers.codes[error.code().name] += 1
            pause = retry_after(error)
            answers.mute += error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and not pause
            return pause
        answers.codes["OK"] += 1
        answers.degraded.update(pb.Degraded.Name(reason).removeprefix("DEGRADED_") for reason in reply.degraded)
        answers.whole += not reply.degraded and answers.begin <= time.monotonic() <= answers.end
        return 0.0


def retry_after(error: grpc.aio.AioRpcError) -> float:
    """Seconds that RetryInfo asks for, 0 without one."""
    status, info = rpc_status.from_call(error), error_details_pb2.RetryInfo()
    unpacked = any(detail.Unpack(info) for detail in status.details) if status else False
    return float(info.retry_delay.ToNanoseconds() / 1e9) if unpacked else 0.0
