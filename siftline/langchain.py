"""siftline in LangChain: embeddings, a retriever over both stages, and a reranker for documents from elsewhere.

    from siftline.langchain import SiftlineRetriever

    retriever = SiftlineRetriever(address="127.0.0.1:50050", collection="notes", options={"top_k": 5})
    documents = retriever.invoke("how are batches formed?", filter='lang = "en"')

Needs `pip install siftline[langchain]`. Every component has its asynchronous methods, and raises
siftline.SiftlineError.
"""

from collections.abc import Sequence
from typing import Any, Unpack

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
    Callbacks,
)
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import Field, PrivateAttr, SecretStr

from siftline.calls import SearchOptions
from siftline.client import DEFAULT_ADDRESS, DEFAULT_TIMEOUT
from siftline.connections import Connections, facts
from siftline.results import Reranked, SearchResult


class SiftlineEmbeddings(Embeddings):
    """Vectors of the gateway's embedder; queries and documents each with the model's own prompt for them."""

    def __init__(
        self, address: str = DEFAULT_ADDRESS, *, api_key: str | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self._connections = Connections(address, api_key=api_key, timeout=timeout)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._connections.embed(texts, "document")

    def embed_query(self, text: str) -> list[float]:
        return self._connections.embed([text], "query")[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await self._connections.embed_async(texts, "document")

    async def aembed_query(self, text: str) -> list[float]:
        return (await self._connections.embed_async([text], "query"))[0]


class SiftlineRetriever(BaseRetriever):
    """Recall and rerank of the gateway. Metadata: the document's own, its title, `score` (what the order is by),
    recall_rank, recall_score, rerank_score, and `degraded` where a stage was missing."""

    collection: str
    address: str = DEFAULT_ADDRESS
    api_key: SecretStr | None = None
    timeout: float = DEFAULT_TIMEOUT
    # siftline.calls.SearchOptions of every search; invoke(query, filter=..., top_k=...) changes them for one.
    options: dict[str, Any] = Field(default_factory=dict)
    _connections: Connections = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._connections = _connections(self)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Unpack[SearchOptions]
    ) -> list[Document]:
        return _documents(self._connections.blocking.search(self.collection, query, **{**self.options, **options}))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Unpack[SearchOptions]
    ) -> list[Document]:
        return _documents(await self._connections.awaited.search(self.collection, query, **{**self.options, **options}))


class SiftlineReranker(BaseDocumentCompressor):
    """The documents that answer the query best, best first, with `relevance_score` in [0, 1] in their metadata."""

    address: str = DEFAULT_ADDRESS
    api_key: SecretStr | None = None
    timeout: float = DEFAULT_TIMEOUT
    top_n: int = 5
    _connections: Connections = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._connections = _connections(self)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        if not documents:
            return []
        return _best(documents, self._connections.blocking.rerank(query, _texts(documents), top_n=self.top_n))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        if not documents:
            return []
        return _best(documents, await self._connections.awaited.rerank(query, _texts(documents), top_n=self.top_n))


def _connections(component: SiftlineRetriever | SiftlineReranker) -> Connections:
    key = component.api_key.get_secret_value() if component.api_key else None
    return Connections(component.address, api_key=key, timeout=component.timeout)


def _documents(result: SearchResult) -> list[Document]:
    return [
        Document(id=hit.id, page_content=hit.text, metadata=facts(hit, result) | {"score": hit.score})
        for hit in result.hits
    ]


def _texts(documents: Sequence[Document]) -> list[str]:
    return [document.page_content for document in documents]


def _best(documents: Sequence[Document], ranking: list[Reranked]) -> list[Document]:
    return [
        documents[each.index].model_copy(
            update={"metadata": documents[each.index].metadata | {"relevance_score": each.score}}
        )
        for each in ranking
    ]
