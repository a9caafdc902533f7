"""siftline in LlamaIndex: an embedding model, a retriever over both stages, and a reranker as node postprocessor.

    from siftline.llama_index import SiftlineRetriever

    retriever = SiftlineRetriever("notes", address="127.0.0.1:50050", top_k=5)
    for node in retriever.retrieve("how are batches formed?"):
        print(node.score, node.text)

Needs `pip install siftline[llama-index]`. Every component has its asynchronous methods, and raises
siftline.SiftlineError.
"""

from typing import Any, Unpack

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr, SecretStr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from siftline.calls import SearchOptions
from siftline.client import DEFAULT_ADDRESS, DEFAULT_TIMEOUT
from siftline.connections import TEXTS_PER_REQUEST, Connections, facts
from siftline.results import Hit, Reranked, SearchResult


class SiftlineEmbedding(BaseEmbedding):
    """Vectors of the gateway's embedder; queries and texts each with the model's own prompt for them."""

    address: str = DEFAULT_ADDRESS
    api_key: SecretStr | None = Field(default=None, exclude=True)
    timeout: float = DEFAULT_TIMEOUT
    embed_batch_size: int = Field(default=TEXTS_PER_REQUEST, gt=0, le=2048)
    _connections: Connections = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._connections = _connections(self)

    @classmethod
    def class_name(cls) -> str:
        return "SiftlineEmbedding"

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._connections.embed([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return (await self._connections.embed_async([query], "query"))[0]

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._connections.embed([text], "document")[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._connections.embed_async([text], "document"))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._connections.embed(texts, "document")

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await self._connections.embed_async(texts, "document")


class SiftlineRetriever(BaseRetriever):
    """Recall and rerank of the gateway. A node's score is what the order is by; its metadata have the document's own,
    its title, recall_rank, recall_score, rerank_score, and `degraded` where a stage was missing."""

    def __init__(
        self,
        collection: str,
        address: str = DEFAULT_ADDRESS,
        *,
        api_key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        **options: Unpack[SearchOptions],
    ) -> None:
        super().__init__()
        self._collection = collection
        self._options = options
        self._connections = Connections(address, api_key=api_key, timeout=timeout)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        client = self._connections.blocking
        return _nodes(client.search(self._collection, query_bundle.query_str, **self._options))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        client = self._connections.awaited
        return _nodes(await client.search(self._collection, query_bundle.query_str, **self._options))


class SiftlineReranker(BaseNodePostprocessor):
    """The nodes that answer the query best, best first; their score is the reranker's, in [0, 1].

    What is read is what LlamaIndex embeds of a node: its metadata, as far as they are not excluded, and its text.
    """

    address: str = DEFAULT_ADDRESS
    api_key: SecretStr | None = Field(default=None, exclude=True)
    timeout: float = DEFAULT_TIMEOUT
    top_n: int = 5
    _connections: Connections = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._connections = _connections(self)

    @classmethod
    def class_name(cls) -> str:
        return "SiftlineReranker"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []
        client = self._connections.blocking
        return _best(nodes, client.rerank(_question(query_bundle), _texts(nodes), top_n=self.top_n))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []
        client = self._connections.awaited
        return _best(nodes, await client.rerank(_question(query_bundle), _texts(nodes), top_n=self.top_n))


def _connections(component: SiftlineEmbedding | SiftlineReranker) -> Connections:
    key = component.api_key.get_secret_value() if component.api_key else None
    return Connections(component.address, api_key=key, timeout=component.timeout)


def _nodes(result: SearchResult) -> list[NodeWithScore]:
    return [NodeWithScore(node=_node(hit, result), score=hit.score) for hit in result.hits]


def _node(hit: Hit, result: SearchResult) -> TextNode:
    """How a passage was found is for people: no model reads it."""
    metadata = facts(hit, result)
    ours = [name for name in metadata if name not in hit.metadata and name != "title"]
    return TextNode(
        id_=hit.id,
        text=hit.text,
        metadata=metadata,
        excluded_embed_metadata_keys=ours,
        excluded_llm_metadata_keys=ours,
    )


def _question(query_bundle: QueryBundle | None) -> str:
    if query_bundle is None:
        raise ValueError("query_bundle: a reranker needs the query")
    return query_bundle.query_str


def _texts(nodes: list[NodeWithScore]) -> list[str]:
    return [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]


def _best(nodes: list[NodeWithScore], ranking: list[Reranked]) -> list[NodeWithScore]:
    return [NodeWithScore(node=nodes[each.index].node, score=each.score) for each in ranking]
