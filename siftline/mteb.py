"""siftline under mteb (https://github.com/embeddings-benchmark/mteb): its tasks run against a server of ours.

    import mteb
    from siftline.mteb import SiftlineEncoder, SiftlineSearch

    tasks = mteb.get_tasks(["SciFact", "NFCorpus"])
    mteb.evaluate(SiftlineEncoder("127.0.0.1:50050"), tasks)  # the embedder alone, any task that encodes texts
    mteb.evaluate(SiftlineSearch("127.0.0.1:50050"), tasks)  # both stages, tasks of retrieval and reranking

Needs mteb 2 beside siftline. Documents are sent as mteb joins them: title, space, text.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from mteb.models import ModelMeta
from mteb.similarity_functions import cos_sim, pairwise_cos_sim
from mteb.types import PromptType

from siftline import indexing
from siftline.client import DEFAULT_ADDRESS, AsyncClient, Client
from siftline.evaluation.searching import How, search
from siftline.results import Document, Model, Recall, Side

SECONDS = 120.0
MAX_RECALL = 1000  # of one search


class SiftlineEncoder:
    """Implements mteb's EncoderProtocol: vectors of the gateway's embedder, float32 [n, d]."""

    def __init__(self, address: str = DEFAULT_ADDRESS, revision: str | None = None, **_: Any) -> None:
        self._client = Client(address, timeout=SECONDS)
        self._model = self._client.embed_model()
        self.mteb_model_meta = _meta(self._model.name, self._model.fingerprint, self._model, similarity="cosine")

    def encode(
        self, inputs: Iterable[Mapping[str, Any]], *, prompt_type: PromptType | None = None, **_: Any
    ) -> npt.NDArray[np.float32]:
        """Queries get the model's prompt for queries, all else the one for documents."""
        side: Side = "query" if prompt_type == PromptType.query else "document"
        size = self._model.limits.get("max_texts", 32)
        texts = [text or " " for batch in inputs for text in batch["text"]]
        parts = [
            self._client.embed(texts[at : at + size], side=side, priority="bulk") for at in range(0, len(texts), size)
        ]
        return np.concatenate(parts)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        return pairwise_cos_sim(embeddings1, embeddings2)


class SiftlineSearch:
    """Implements mteb's SearchProtocol: the whole search of the gateway, over a collection for each corpus.

    depth: passages that the second stage scores, and so the most that a query gets; 0 leaves the second stage out.
    A collection stays when the task is over, to be used again; its name begins with "mteb-".
    """

    def __init__(
        self, address: str = DEFAULT_ADDRESS, *, recall: Recall = "vector", depth: int = 50, concurrency: int = 4
    ) -> None:
        self._address = address
        self._recall: Recall = recall
        self._depth = depth
        self._concurrency = concurrency
        self._collection = ""
        self._documents: dict[str, Document] = {}
        with Client(address) as client:
            embedder = client.embed_model()
            reranker = client.rerank_model() if depth else None
        way = f"{recall}-rerank-{depth}" if reranker else recall
        models = [embedder] + ([reranker] if reranker else [])
        name = f"{'+'.join(model.name for model in models)}-{way}"
        self.mteb_model_meta = _meta(name, "-".join(model.fingerprint[:16] for model in models), embedder)

    def index(self, corpus: Iterable[Mapping[str, Any]], *, task_metadata: Any, **_: Any) -> None:
        """Brings the corpus into a collection whose name holds its digest; what is there already is left alone."""
        self._documents = {row["id"]: _document(row) for row in corpus}
        self._collection = f"mteb-{_digest(self._documents.values())}"
        asyncio.run(self._index())

    def search(
        self,
        queries: Iterable[Mapping[str, Any]],
        *,
        top_k: int,
        top_ranked: Mapping[str, list[str]] | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """Scores by query and document. With `top_ranked`, those documents are reranked and nothing is recalled."""
        return asyncio.run(self._search_all({row["id"]: row["text"] for row in queries}, top_k, top_ranked))

    async def _index(self) -> None:
        documents = [document for document in self._documents.values() if document.text.strip()]
        async with AsyncClient(self._address) as client:
            await indexing.index(client, self._collection, documents)

    async def _search_all(
        self, queries: Mapping[str, str], top_k: int, top_ranked: Mapping[str, list[str]] | None
    ) -> dict[str, dict[str, float]]:
        room = asyncio.Semaphore(self._concurrency)
        async with AsyncClient(self._address, timeout=SECONDS) as client:

            async def one(query: str, text: str) -> dict[str, float]:
                async with room:
                    if top_ranked is not None:
                        return await self._reranked(client, text, top_ranked[query])
                    return await self._searched(client, text, top_k)

            found = await asyncio.gather(*(one(query, text) for query, text in queries.items()))
        return dict(zip(queries, found, strict=True))

    async def _searched(self, client: AsyncClient, text: str, top_k: int) -> dict[str, float]:
        depth = min(top_k, self._depth or MAX_RECALL)
        result = await search(client, self._collection, text, How(self._recall, depth, rerank=self._depth > 0))
        return {hit.id: hit.score for hit in result.hits}

    async def _reranked(self, client: AsyncClient, text: str, candidates: list[str]) -> dict[str, float]:
        passages = [self._documents[candidate].text or " " for candidate in candidates]
        scored = await client.rerank(text, passages, keep_order=True)
        return {candidate: each.logit for candidate, each in zip(candidates, scored, strict=True)}


def _document(row: Mapping[str, Any]) -> Document:
    title = row.get("title") or ""
    return Document(row["id"], f"{title} {row['text']}".strip() if title else row["text"])


def _digest(documents: Iterable[Document]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for document in documents:
        for part in (document.id, document.text):
            digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()


def _meta(name: str, revision: str, model: Model, similarity: str | None = None) -> ModelMeta:
    return ModelMeta.create_empty(
        {
            "name": f"siftline/{name}",
            "revision": revision,
            "max_tokens": model.max_tokens,
            "embed_dim": model.dimensions,
            "similarity_fn_name": similarity,
        }
    )
