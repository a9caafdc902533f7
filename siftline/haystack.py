"""siftline in Haystack: embedders for a query and for documents, a retriever over both stages, a ranker.

    from siftline.haystack import SiftlineRetriever

    retriever = SiftlineRetriever("notes", address="127.0.0.1:50050", top_k=5)
    documents = retriever.run("how are batches formed?")["documents"]

Needs `pip install siftline[haystack]`. Every component has run_async, goes into a pipeline's YAML, and raises
siftline.SiftlineError.
"""

from dataclasses import replace
from typing import Any, Unpack

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret

from siftline.calls import SearchOptions
from siftline.client import DEFAULT_ADDRESS, DEFAULT_TIMEOUT
from siftline.connections import Connections, facts
from siftline.haystack_filters import Filters, as_text
from siftline.results import Reranked, SearchResult

Documents = dict[str, list[Document]]

API_KEY = Secret.from_env_var("SIFTLINE_API_KEY", strict=False)


class _Component:
    """Where the server is, and how that goes into YAML and comes back."""

    # Not __init__: the decorator makes another class of each component, where super() does not work.
    def _connect(self, address: str, api_key: Secret | None, timeout: float, **own: Any) -> None:
        self._settings = {"address": address, "api_key": api_key, "timeout": timeout, **own}
        key = api_key.resolve_value() if api_key else None
        self._connections = Connections(address, api_key=key, timeout=timeout)

    def to_dict(self) -> dict[str, Any]:
        return default_to_dict(self, **self._settings)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        return default_from_dict(cls, data)


@component
class SiftlineTextEmbedder(_Component):
    """The vector of a query, with the model's prompt for queries."""

    def __init__(
        self, address: str = DEFAULT_ADDRESS, api_key: Secret | None = API_KEY, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self._connect(address, api_key, timeout)

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        return {"embedding": self._connections.embed([text], "query")[0]}

    @component.output_types(embedding=list[float])
    async def run_async(self, text: str) -> dict[str, list[float]]:
        return {"embedding": (await self._connections.embed_async([text], "query"))[0]}


@component
class SiftlineDocumentEmbedder(_Component):
    """The documents with their vectors; `meta_fields_to_embed` go in front of the text, joined by spaces."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        api_key: Secret | None = API_KEY,
        timeout: float = DEFAULT_TIMEOUT,
        meta_fields_to_embed: list[str] | None = None,
    ) -> None:
        self._connect(address, api_key, timeout, meta_fields_to_embed=meta_fields_to_embed)
        self._fields = meta_fields_to_embed or []

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> Documents:
        vectors = self._connections.embed(_texts(documents, self._fields), "document")
        return {"documents": _with_vectors(documents, vectors)}

    @component.output_types(documents=list[Document])
    async def run_async(self, documents: list[Document]) -> Documents:
        vectors = await self._connections.embed_async(_texts(documents, self._fields), "document")
        return {"documents": _with_vectors(documents, vectors)}


@component
class SiftlineRetriever(_Component):
    """Recall and rerank of the gateway. A document's score is what the order is by; its meta have the document's own,
    its title, recall_rank, recall_score, rerank_score, and `degraded` where a stage was missing."""

    def __init__(
        self,
        collection: str,
        address: str = DEFAULT_ADDRESS,
        api_key: Secret | None = API_KEY,
        timeout: float = DEFAULT_TIMEOUT,
        **options: Unpack[SearchOptions],
    ) -> None:
        self._connect(address, api_key, timeout, collection=collection, **options)
        self._collection = collection
        self._options = options

    @component.output_types(documents=list[Document])
    def run(self, query: str, filters: Filters | None = None, top_k: int | None = None) -> Documents:
        options = _options(self._options, filters, top_k)
        return {"documents": _found(self._connections.blocking.search(self._collection, query, **options))}

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str, filters: Filters | None = None, top_k: int | None = None) -> Documents:
        options = _options(self._options, filters, top_k)
        return {"documents": _found(await self._connections.awaited.search(self._collection, query, **options))}


@component
class SiftlineRanker(_Component):
    """The documents that answer the query best, best first; their score is the reranker's, in [0, 1]."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        api_key: Secret | None = API_KEY,
        timeout: float = DEFAULT_TIMEOUT,
        top_k: int = 10,
        meta_fields_to_embed: list[str] | None = None,
    ) -> None:
        self._connect(address, api_key, timeout, top_k=top_k, meta_fields_to_embed=meta_fields_to_embed)
        self._top_k = top_k
        self._fields = meta_fields_to_embed or []

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> Documents:
        if not documents:
            return {"documents": []}
        texts = _texts(documents, self._fields)
        ranking = self._connections.blocking.rerank(query, texts, top_n=self._top_k if top_k is None else top_k)
        return {"documents": _best(documents, ranking)}

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str, documents: list[Document], top_k: int | None = None) -> Documents:
        if not documents:
            return {"documents": []}
        texts = _texts(documents, self._fields)
        ranking = await self._connections.awaited.rerank(query, texts, top_n=self._top_k if top_k is None else top_k)
        return {"documents": _best(documents, ranking)}


def _texts(documents: list[Document], fields: list[str]) -> list[str]:
    return [
        " ".join([*(str(document.meta[field]) for field in fields if document.meta.get(field)), document.content or ""])
        for document in documents
    ]


def _with_vectors(documents: list[Document], vectors: list[list[float]]) -> list[Document]:
    return [replace(document, embedding=vector) for document, vector in zip(documents, vectors, strict=True)]


def _options(options: SearchOptions, filters: Filters | None, top_k: int | None) -> SearchOptions:
    changed: SearchOptions = {**options}
    if filters:
        changed["filter"] = as_text(filters)
    if top_k is not None:
        changed["top_k"] = top_k
    return changed


def _found(result: SearchResult) -> list[Document]:
    return [Document(id=hit.id, content=hit.text, meta=facts(hit, result), score=hit.score) for hit in result.hits]


def _best(documents: list[Document], ranking: list[Reranked]) -> list[Document]:
    return [replace(documents[each.index], score=each.score) for each in ranking]
