"""In-process embed and rerank services: deterministic vectors and scores from the words of a text."""

import asyncio
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc
import numpy as np

from serving.errors import InvalidArgument, SiftlineError, Unavailable
from serving.limits import check_text
from serving.server import ErrorTranslation
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc

DIMENSIONS = 32
MAX_TOKENS = 512
MAX_TEXT_BYTES = 1 << 20
MAX_CHARACTERS = 100_000  # of all passages to rerank whole


@dataclass
class Faults:
    """What goes wrong with calls, after `spared` of them: they wait for `held`, sleep for `delay`, raise `error`."""

    error: SiftlineError | None = None
    delay: float = 0.0
    spared: int = 0
    held: asyncio.Event | None = None
    waiting: int = 0  # for `held`

    async def strike(self) -> None:
        self.spared -= 1
        if self.spared >= 0:
            return
        if self.held is not None:
            self.waiting += 1
            try:
                await self.held.wait()
            finally:
                self.waiting -= 1
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def vector_of(text: str, dimensions: int = DIMENSIONS) -> np.ndarray:
    """Sum of one pseudo-random direction per word, normalised: texts with words in common are near each other."""
    total = np.zeros(DIMENSIONS)
    for word in words(text) or [text]:
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        total += np.random.default_rng(seed).normal(size=DIMENSIONS)
    head = total[:dimensions]
    return head / np.linalg.norm(head)


def packed(vectors: np.ndarray, dtype: int) -> bytes:
    if dtype == embed_pb2.DTYPE_FLOAT16:
        return vectors.astype("<f2").tobytes()
    if dtype == embed_pb2.DTYPE_INT8:
        return np.clip(np.rint(vectors * 127), -127, 127).astype("i1").tobytes()
    if dtype == embed_pb2.DTYPE_BINARY:
        return np.packbits(vectors > 0, axis=1).tobytes()
    return vectors.astype("<f4").tobytes()


def sparse_of(texts: Sequence[str]) -> embed_pb2.SparseVectors:
    """A token a text: its length, of weight 1."""
    ids = np.array([len(text) for text in texts], "<u4")
    return embed_pb2.SparseVectors(
        offsets=range(len(texts) + 1), ids=ids.tobytes(), weights=np.ones(len(texts), "<f4").tobytes()
    )


@dataclass
class FakeEmbed(embed_pb2_grpc.EmbedServiceServicer):
    fingerprint: str = "f" * 32
    name: str = "fake"
    faults: Faults = field(default_factory=Faults)
    calls: list[list[str]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)  # of the last call
    seconds_left: float = 0.0
    priority: int = 0
    seed: str = ""  # another seed is another model: other vectors
    others: dict[str, str] = field(default_factory=dict)  # seeds of further models, by fingerprint

    def named(self, fingerprint: str) -> tuple[str, str]:
        """Fingerprint and seed of the model that a request names."""
        if fingerprint in ("", self.fingerprint):
            return self.fingerprint, self.seed
        if fingerprint not in self.others:
            raise Unavailable(f"fingerprint: no model {fingerprint!r:.40} is loaded here", reason="MODEL_NOT_HERE")
        return fingerprint, self.others[fingerprint]

    async def Embed(
        self, request: embed_pb2.EmbedRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.EmbedResponse:
        self.calls.append(list(request.texts))
        self.metadata = dict(context.invocation_metadata())
        self.seconds_left = context.time_remaining()
        self.priority = request.priority
        await self.faults.strike()
        fingerprint, seed = self.named(request.fingerprint)
        check_text("texts", max(request.texts, key=len), MAX_TEXT_BYTES)
        dimensions = request.dimensions or DIMENSIONS
        shared = [request.prompt_text + request.prompt_name] * len(request.texts)
        given = [
            " ".join(filter(None, (seed, prompt, text)))
            for prompt, text in zip(request.prompt_texts or shared, request.texts, strict=True)
        ]
        vectors = np.stack([vector_of(text, dimensions) for text in given])
        counts = [len(words(text)) + 2 for text in request.texts]
        return embed_pb2.EmbedResponse(
            vectors=packed(vectors, request.dtype),
            count=len(counts),
            dimensions=dimensions,
            dtype=request.dtype or embed_pb2.DTYPE_FLOAT32,
            token_counts=[min(count, MAX_TOKENS) for count in counts],
            truncated=[count > MAX_TOKENS for count in counts],
            windows=[1] * len(counts),
            fingerprint=fingerprint,
            sparse=sparse_of(request.texts) if embed_pb2.OUTPUT_SPARSE in request.outputs else None,
        )

    async def Tokenize(
        self, request: embed_pb2.TokenizeRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.TokenizeResponse:
        """Words are tokens."""
        await self.faults.strike()
        found = [list(re.finditer(r"\w+", text)) for text in request.texts]
        return embed_pb2.TokenizeResponse(
            texts=[
                embed_pb2.TokenizedText(
                    ids=[1] * len(each),
                    tokens=[one[0] for one in each],
                    special=[False] * len(each),
                    starts=[one.start() for one in each],
                    ends=[one.end() for one in each],
                )
                for each in found
            ]
        )

    async def Decode(
        self, request: embed_pb2.DecodeRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.DecodeResponse:
        return embed_pb2.DecodeResponse(texts=["" for _ in request.texts])

    async def GetModel(
        self, request: embed_pb2.GetModelRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.GetModelResponse:
        return embed_pb2.GetModelResponse(
            name=self.name,
            fingerprint=self.named(request.fingerprint)[0],
            dimensions=DIMENSIONS,
            max_tokens=MAX_TOKENS,
            prompts={"query": "search: "},
            limits=embed_pb2.Limits(
                max_texts=256, max_text_bytes=MAX_TEXT_BYTES, max_message_bytes=64 << 20, max_prompt_bytes=4096
            ),
        )


@dataclass
class FakeRerank(rerank_pb2_grpc.RerankServiceServicer):
    """Logit = words that query and passage share, minus 2."""

    fingerprint: str = "e" * 32
    faults: Faults = field(default_factory=Faults)
    calls: list[int] = field(default_factory=list)
    passages: list[str] = field(default_factory=list)  # of all calls
    others: set[str] = field(default_factory=set)  # fingerprints of further models
    seconds_left: float = 0.0  # of the last call
    priority: int = 0
    unknown: float = 0.0  # share of unknown tokens that it finds in every query

    def named(self, fingerprint: str) -> str:
        """Of the model that a request names."""
        if fingerprint and fingerprint != self.fingerprint and fingerprint not in self.others:
            raise Unavailable(f"fingerprint: no model {fingerprint!r:.40} is loaded here", reason="MODEL_NOT_HERE")
        return fingerprint or self.fingerprint

    async def Rerank(
        self, request: rerank_pb2.RerankRequest, context: grpc.aio.ServicerContext
    ) -> rerank_pb2.RerankResponse:
        self.calls.append(len(request.passages))
        self.passages += request.passages
        self.seconds_left = context.time_remaining()
        self.priority = request.priority
        await self.faults.strike()
        if (
            request.long_passage != rerank_pb2.LONG_PASSAGE_TRUNCATE
            and sum(map(len, request.passages)) > MAX_CHARACTERS
        ):
            raise InvalidArgument("passages", "too many windows")
        if request.HasField("max_query_unknown") and self.unknown > request.max_query_unknown:
            return rerank_pb2.RerankResponse(fingerprint=self.named(request.fingerprint), unreadable=True)
        query = set(words(request.query))
        results = []
        for index, passage in enumerate(request.passages):
            logit = len(query & set(words(passage))) - 2.0
            results.append(
                rerank_pb2.RerankResult(index=index, logit=logit, score=1 / (1 + math.exp(-logit)), windows=1)
            )
        if request.order != rerank_pb2.ORDER_INPUT:
            results.sort(key=lambda result: (-result.logit, result.index))
        return rerank_pb2.RerankResponse(results=results, fingerprint=self.named(request.fingerprint))

    async def GetModel(
        self, request: rerank_pb2.GetModelRequest, context: grpc.aio.ServicerContext
    ) -> rerank_pb2.GetModelResponse:
        limits = rerank_pb2.Limits(max_passages=1000, max_text_bytes=1 << 16, max_message_bytes=64 << 20)
        fingerprint = self.named(request.fingerprint)
        return rerank_pb2.GetModelResponse(name="fake", fingerprint=fingerprint, max_tokens=512, limits=limits)


class FakeServer:
    """One servicer on a loopback port; it can be stopped and started again on the same one."""

    def __init__(self, servicer: FakeEmbed | FakeRerank) -> None:
        self.servicer = servicer
        self._server: grpc.aio.Server | None = None
        self.port = 0

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(interceptors=(ErrorTranslation(),), options=options)
        if isinstance(self.servicer, FakeEmbed):
            embed_pb2_grpc.add_EmbedServiceServicer_to_server(self.servicer, self._server)
        else:
            rerank_pb2_grpc.add_RerankServiceServicer_to_server(self.servicer, self._server)
        address = f"127.0.0.1:{self.port}"
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None
