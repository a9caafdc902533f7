"""Two-stage retrieval as a service: embed, recall, rerank. This package is what applications import."""

import os

# What gRPC's C core would print into an application's stderr, callers get as errors. It is read once, by the import.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from siftline.chunking import Chunking
from siftline.client import AsyncClient, Client
from siftline.errors import SiftlineError
from siftline.results import Document, Embeddings, Hit, Reranked, SearchResult
from siftline.tls import TLS

__all__ = [
    "AsyncClient",
    "Chunking",
    "Client",
    "Document",
    "Embeddings",
    "Hit",
    "Reranked",
    "SearchResult",
    "SiftlineError",
    "TLS",
]
