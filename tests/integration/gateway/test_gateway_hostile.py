"""Text is data: no id, tag, filter or query reaches anything but its own document, and none ends in INTERNAL."""

import asyncio
import itertools
from typing import Any

import grpc
from google.protobuf import json_format, struct_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.recall import FieldType
from gateway.recall.filter import All, AnyOf, Compare, Filter, In, Not, parse
from siftline.search.v1 import search_pb2 as pb

MARKS = "*:{}[]()|@$-~%\"'\\,.<>=&#^!/?;\x00\n\r\t \u00e9\u4e2d\U0001f600"
CHARACTERS = st.one_of(st.sampled_from(MARKS), st.characters(exclude_categories=("Cs",)))
HOSTILE = st.text(alphabet=CHARACTERS, min_size=1, max_size=40)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
FIELDS = {"kind": FieldType.TAG, "year": FieldType.NUMBER}
NAMES = map("h{}".format, itertools.count())


async def collection(gateway: Any) -> str:
    name = next(NAMES)
    fields = [pb.Field(name="kind", type=pb.FIELD_TYPE_TAG), pb.Field(name="year", type=pb.FIELD_TYPE_NUMBER)]
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name=name, fields=fields))
    return name


def document(identity: str, text: str = "text", **metadata: Any) -> pb.Document:
    return pb.Document(id=identity, text=text, metadata=json_format.ParseDict(metadata, struct_pb2.Struct()))


async def test_hostile_ids_and_metadata(gateway: Any) -> None:
    """A bystander in another collection and one beside them stay as they were; each document comes back as sent."""
    other, name = await collection(gateway), await collection(gateway)
    bystander = document("bystander", "do not touch", kind="calm", year=1)
    for where in (other, name):
        await gateway.searches.Upsert(pb.UpsertRequest(collection=where, documents=[bystander]))

    @FUZZ
    @given(HOSTILE.filter(lambda one: len(one.encode()) <= 512), HOSTILE, st.dictionaries(HOSTILE, HOSTILE, max_size=3))
    def check(identity: str, tag: str, metadata: dict[str, str]) -> None:
        asyncio.run_coroutine_threadsafe(attempt(identity, tag, metadata), loop).result(30)

    async def attempt(identity: str, tag: str, metadata: dict[str, str]) -> None:
        sent = document(identity, f"text of {tag}", **{**metadata, "kind": tag})
        await gateway.searches.Upsert(pb.UpsertRequest(collection=name, documents=[sent]))
        got = await gateway.searches.Get(pb.GetRequest(collection=name, ids=[identity, "bystander"]))
        assert list(got.documents) == [sent, bystander]
        quoted = tag.replace("\\", "\\\\").replace('"', '\\"')
        request = pb.SearchRequest(
            collection=name, query=tag, filter=f'kind = "{quoted}"', recall=pb.RECALL_MODE_HYBRID
        )
        found = await gateway.searches.Search(request)
        assert [hit.id for hit in found.hits] == [identity]
        assert found.hits[0].metadata == sent.metadata
        deleted = await gateway.searches.Delete(pb.DeleteRequest(collection=name, ids=[identity]))
        assert deleted.deleted == 1
        for where in (other, name):
            kept = await gateway.searches.Get(pb.GetRequest(collection=where, ids=["bystander"]))
            assert list(kept.documents) == [bystander]
            assert (await gateway.searches.Count(pb.CountRequest(collection=where))).count == 1

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(check)


async def test_no_query_or_filter_ends_in_internal(gateway: Any) -> None:
    name = await collection(gateway)
    await gateway.searches.Upsert(pb.UpsertRequest(collection=name, documents=[document("a", kind="x")]))
    modes = st.sampled_from([pb.RECALL_MODE_VECTOR, pb.RECALL_MODE_BM25, pb.RECALL_MODE_HYBRID])
    words = st.sampled_from(["kind", "year", "=", "!=", "<=", ">", "IN", "(", ")", "AND", "or", "NOT", "1", '"x"', ","])
    filters = st.one_of(HOSTILE, st.lists(words, max_size=12).map(" ".join))

    @settings(FUZZ, max_examples=200)
    @given(st.one_of(HOSTILE, st.lists(HOSTILE, max_size=80).map(" ".join).filter(bool)), filters, modes)
    def check(query: str, text: str, mode: Any) -> None:
        asyncio.run_coroutine_threadsafe(attempt(query, text, mode), loop).result(30)

    async def attempt(query: str, text: str, mode: Any) -> None:
        request = pb.SearchRequest(collection=name, query=query, filter=text, recall=mode)
        try:
            await gateway.searches.Search(request)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT or not error.details().startswith("filter: "):
                raise

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(check)


KINDS = ["a", "b", "A", "a b", "a|b", "true", ""]
YEARS = [-1.5, 0.0, 1.0, 2.0, 1e300, 5e-324]


def filters() -> st.SearchStrategy[Filter]:
    leaves: st.SearchStrategy[Filter] = st.one_of(
        st.lists(st.sampled_from([*KINDS, True, False]), min_size=1, max_size=3).map(lambda v: In("kind", tuple(v))),
        st.lists(st.sampled_from(YEARS), min_size=1, max_size=3).map(lambda v: In("year", tuple(v))),
        st.builds(Compare, st.just("year"), st.sampled_from(["<", "<=", ">", ">="]), st.sampled_from(YEARS)),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            inner.map(Not),
            st.lists(inner, min_size=2, max_size=3).map(lambda operands: All(tuple(operands))),
            st.lists(inner, min_size=2, max_size=3).map(lambda operands: AnyOf(tuple(operands))),
        ),
        max_leaves=8,
    )


def written(tree: Filter) -> str:
    match tree:
        case Compare(field, operator, value):
            return f"{field} {operator} {value!r}"
        case In(field, values):
            return f"{field} IN ({', '.join(map(literal, values))})"
        case Not(operand):
            return f"NOT ({written(operand)})"
        case All(operands):
            return " AND ".join(f"({written(one)})" for one in operands)
        case AnyOf(operands):
            return " OR ".join(f"({written(one)})" for one in operands)


def literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else f'"{value}"'


def holds(tree: Filter, metadata: dict[str, Any]) -> bool:
    """What the filter means, said in Python."""
    match tree:
        case Compare(field, operator, value):
            year = metadata.get(field)
            comparisons = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}
            return year is not None and bool(comparisons[operator](year, value))
        case In(field, values):
            own = metadata.get(field)
            present = own if isinstance(own, list) else [] if own is None else [own]
            return any(type(one) is type(value) and one == value for one in present for value in values)
        case Not(operand):
            return not holds(operand, metadata)
        case All(operands):
            return all(holds(one, metadata) for one in operands)
        case AnyOf(operands):
            return any(holds(one, metadata) for one in operands)


async def test_filters_mean_what_they_say(gateway: Any) -> None:
    """Random filters over a collection of all combinations, against the same filter evaluated in Python."""
    name = await collection(gateway)
    kinds: list[Any] = [None, True, ["a", "b"], ["a|b", False], *KINDS]
    population = {
        f"{k}-{y}": {name: value for name, value in (("kind", kind), ("year", year)) if value is not None}
        for k, kind in enumerate(kinds)
        for y, year in enumerate([None, *YEARS])
    }
    documents = [document(identity, **metadata) for identity, metadata in population.items()]
    await gateway.searches.Upsert(pb.UpsertRequest(collection=name, documents=documents))

    @settings(FUZZ, max_examples=200)
    @given(filters())
    def check(tree: Filter) -> None:
        asyncio.run_coroutine_threadsafe(attempt(tree), loop).result(30)

    async def attempt(tree: Filter) -> None:
        text = written(tree)
        expected = {identity for identity, metadata in population.items() if holds(tree, metadata)}
        request = pb.SearchRequest(collection=name, query="x", filter=text, top_k=200, rerank=pb.RERANK_MODE_OFF)
        found = await gateway.searches.Search(request)
        assert {hit.id for hit in found.hits} == expected, text
        assert (await gateway.searches.Count(pb.CountRequest(collection=name, filter=text))).count == len(expected)

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(check)


def test_written_filters_parse_to_themselves() -> None:
    @settings(max_examples=100, deadline=None)
    @given(filters())
    def check(tree: Filter) -> None:
        assert parse(written(tree), FIELDS) == tree

    check()
