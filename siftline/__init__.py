"""Two-stage retrieval as a service: embed, recall, rerank. This package is what applications import."""

from siftline.client import AsyncClient, Client
from siftline.errors import SiftlineError
from siftline.results import Document, Embeddings, Hit, Reranked, SearchResult

__all__ = ["AsyncClient", "Client", "Document", "Embeddings", "Hit", "Reranked", "SearchResult", "SiftlineError"]
