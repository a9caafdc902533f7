"""Tokens that a call takes, as far as that shows before any has been counted."""

from siftline.search.v1 import search_pb2

BYTES_PER_TOKEN = 4
_PASSAGE = 150  # tokens that the second stage reads of a passage
USUAL_SEARCH = 50 * _PASSAGE
USUAL_UPSERT = 64 * _PASSAGE


def of_search(request: search_pb2.SearchRequest) -> int:
    """Of a request with its defaults filled in."""
    passages = 0 if request.rerank == search_pb2.RERANK_MODE_OFF else request.recall_depth
    return len(request.query.encode()) // BYTES_PER_TOKEN + passages * _PASSAGE


def of_upsert(request: search_pb2.UpsertRequest | search_pb2.UpsertStreamRequest) -> int:
    """Of a message."""
    return int(request.ByteSize()) // BYTES_PER_TOKEN
