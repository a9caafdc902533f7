"""Upserts on the wire: messages of documents into what the gateway takes in."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

from gateway import validation
from gateway.api import convert
from gateway.intake import Intake
from gateway.metadata import Incoming
from serving.errors import InvalidArgument
from serving.limits import check_count
from siftline.chunking import Chunking
from siftline.search.v1 import search_pb2 as pb


def chunking(request: pb.UpsertRequest | pb.UpsertStreamRequest) -> Chunking | None:
    """As asked for, if at all. Raises InvalidArgument("chunking.FIELD")."""
    if not request.HasField("chunking"):
        return None
    try:
        return Chunking(request.chunking.tokens, request.chunking.overlap)
    except ValueError as error:
        field, _, problem = str(error).partition(": ")
        raise InvalidArgument(f"chunking.{field}", problem) from error


DURABLE = {pb.DURABILITY_UNSPECIFIED: None, pb.DURABILITY_MEMORY: False, pb.DURABILITY_FSYNC: True}


async def of_request(request: pb.UpsertRequest, intake: Intake) -> AsyncIterator[Sequence[Incoming]]:
    """The documents of the one message."""
    yield _taken(request.documents, intake)


async def of_stream(
    first: pb.UpsertStreamRequest, rest: AsyncIterator[pb.UpsertStreamRequest], intake: Intake
) -> AsyncIterator[Sequence[Incoming]]:
    """The documents of each message."""
    yield _taken(first.documents, intake)
    async for request in rest:
        if request.collection not in ("", first.collection):
            raise InvalidArgument("collection", f"{request.collection!r:.80} is not that of the stream's first message")
        yield _taken(request.documents, intake)


def _taken(documents: Sequence[pb.Document], intake: Intake) -> list[Incoming]:
    """Those that are in order. Raises InvalidArgument for the first that is not, unless such are to be skipped."""
    check_count("documents", len(documents), validation.MAX_DOCUMENTS)
    places: dict[str, int] = {}

    def look(place: int, document: pb.Document) -> Incoming:
        validation.document(document)
        incoming = convert.incoming(place, document)
        if (first := places.setdefault(document.id, place)) != place:
            raise InvalidArgument("id", f"is the same as that of documents[{first}]")
        return incoming

    numbered = enumerate(documents, intake.seen)
    taken = [intake.take(place, document.id, partial(look, place, document)) for place, document in numbered]
    intake.seen += len(documents)
    return [one for one in taken if one is not None]
