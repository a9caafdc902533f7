"""Tokens that a call takes, as far as that shows before any has been counted."""

from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2
from siftline.search.v1 import search_pb2

BYTES_PER_TOKEN = 4
_PASSAGE = 150  # tokens that the second stage reads of a passage
USUAL_SEARCH = 50 * _PASSAGE
USUAL_UPSERT = 64 * _PASSAGE
USUAL_EMBED = 16 * _PASSAGE
USUAL_RERANK = USUAL_SEARCH


def of_search(request: search_pb2.SearchRequest) -> int:
    """Of a request with its defaults filled in."""
    passages = 0 if request.rerank == search_pb2.RERANK_MODE_OFF else request.recall_depth
    return len(request.query.encode()) // BYTES_PER_TOKEN + passages * _PASSAGE


def of_upsert(request: search_pb2.UpsertRequest | search_pb2.UpsertStreamRequest) -> int:
    """Of a message."""
    return int(request.ByteSize()) // BYTES_PER_TOKEN


def of_embed(request: embed_pb2.EmbedRequest) -> int:
    return int(request.ByteSize()) // BYTES_PER_TOKEN


def of_rerank(request: rerank_pb2.RerankRequest) -> int:
    """The query is read with every passage."""
    query = len(request.query.encode()) * max(0, len(request.passages) - 1)
    return (int(request.ByteSize()) + query) // BYTES_PER_TOKEN
