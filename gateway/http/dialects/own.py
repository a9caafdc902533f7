"""Our own API as JSON: collections and search, one operation per call of the SearchService.

Bodies are the messages of protos/siftline/search/v1; what the path names is not repeated in the body.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from google.protobuf.message import Message

from gateway.api.search import SearchServicer
from gateway.auth.scopes import NEEDED
from gateway.http.call import Call
from gateway.http.dialect import Dialect
from gateway.http.endpoint import Operation
from gateway.http.messages import from_plain, to_plain
from gateway.http.reply import Reply, json_reply, parsed
from gateway.http.schemas import Asked
from serving.errors import InvalidArgument, Overloaded, SiftlineError
from siftline.search.v1 import search_pb2 as pb

_SERVICE = pb.DESCRIPTOR.services_by_name["SearchService"]
_COLLECTION = "/v1/collections/{collection}"


class Fault(msgspec.Struct, omit_defaults=True):
    """`field` is what is wrong with the request; `retry_after` are seconds."""

    status: int
    reason: str
    message: str
    field: str | None = None
    retry_after: float | None = None


class ErrorReply(msgspec.Struct):
    error: Fault


def _error(error: SiftlineError, status: int) -> ErrorReply:
    fault = Fault(status, error.reason, str(error))
    if isinstance(error, InvalidArgument):
        fault.field = error.field
    if isinstance(error, Overloaded):
        fault.retry_after = error.retry_after
    return ErrorReply(fault)


OWN = Dialect("siftline", ErrorReply, _error)


@dataclass(frozen=True, slots=True)
class _Rpc:
    """`named` is the field that the path's {collection} fills, empty for none."""

    name: str
    method: str
    path: str
    request: type[Message]
    named: str = ""
    summary: str = ""


_RPCS = (
    _Rpc("Search", "POST", "/v1/search", pb.SearchRequest, summary="Recall, then rerank"),
    _Rpc("ListCollections", "GET", "/v1/collections", pb.ListCollectionsRequest, summary="All collections"),
    _Rpc("CreateCollection", "POST", "/v1/collections", pb.CreateCollectionRequest, summary="Make a collection"),
    _Rpc("GetCollection", "GET", _COLLECTION, pb.GetCollectionRequest, "name", "One collection"),
    _Rpc("DropCollection", "DELETE", _COLLECTION, pb.DropCollectionRequest, "name", "Drop it and its documents"),
    _Rpc("Upsert", "POST", f"{_COLLECTION}/documents", pb.UpsertRequest, "collection", "Store documents"),
    _Rpc("Get", "POST", f"{_COLLECTION}/documents/get", pb.GetRequest, "collection", "Documents by id"),
    _Rpc("Delete", "POST", f"{_COLLECTION}/documents/delete", pb.DeleteRequest, "collection", "Delete by id"),
    _Rpc(
        "Count", "POST", f"{_COLLECTION}/documents/count", pb.CountRequest, "collection", "Count what a filter lets in"
    ),
    _Rpc("Reindex", "POST", f"{_COLLECTION}/reindex", pb.ReindexRequest, "name", "Build it anew, with other fields"),
    _Rpc("SetCalibration", "PUT", f"{_COLLECTION}/calibration", pb.SetCalibrationRequest, "collection", "Calibrate it"),
)


def operations(servicer: SearchServicer) -> list[Operation]:
    return [_operation(rpc, getattr(servicer, rpc.name)) for rpc in _RPCS]


def _operation(rpc: _Rpc, method: Callable[[Message, Call], Awaitable[Message]]) -> Operation:
    wire = _SERVICE.methods_by_name[rpc.name]
    return Operation(
        rpc.method,
        rpc.path,
        NEEDED[f"/{_SERVICE.full_name}/{rpc.name}"],
        partial(_handle, rpc, method),
        rpc.summary,
        Asked(wire.input_type, rpc.named),
        wire.output_type,
    )


async def _handle(rpc: _Rpc, method: Callable[[Message, Call], Awaitable[Message]], call: Call) -> Reply:
    request = from_plain(_values(rpc, call), rpc.request())
    return json_reply(to_plain(await method(request, call)))


def _values(rpc: _Rpc, call: Call) -> Mapping[str, Any]:
    values = parsed(call.body, dict[str, Any]) if call.body else {}
    if not rpc.named:
        return values
    name = call.path["collection"]
    if values.get(rpc.named, name) != name:
        raise InvalidArgument(rpc.named, "is not that of the path")
    return {**values, rpc.named: name}
