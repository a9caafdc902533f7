"""Every call of siftline, written once: how its request is built and its response read.

The functions here are the methods of `Client` and `AsyncClient`; what they return is carried out by either.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar, Unpack

import numpy.typing as npt
from google.protobuf.message import Message

from siftline import reading, results
from siftline.cache.v1 import cache_pb2
from siftline.chunking import Chunking
from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2
from siftline.results import Document
from siftline.search.v1 import search_pb2

Result = TypeVar("Result")

CACHE = "/siftline.cache.v1.CacheService/"
EMBED = "/siftline.embed.v1.EmbedService/"
RERANK = "/siftline.rerank.v1.RerankService/"
SEARCH = "/siftline.search.v1.SearchService/"


@dataclass(frozen=True)
class Call(Generic[Result]):
    method: str
    request: Message
    response: type[Message]
    read: Callable[[Any], Result]


class EmbedOptions(TypedDict, total=False):
    """dimensions: 0 for all, fewer for the first ones normalised again. prompt_name, prompt_text (for every text) or
    prompt_texts (one each): at most one of them; none means the model's own prompt for the side."""

    side: results.Side
    prompt_name: str
    prompt_text: str
    prompt_texts: Sequence[str]
    dtype: results.Dtype
    dimensions: int
    truncation: results.Truncation
    priority: results.Priority
    model: str


def embed(texts: Sequence[str], **options: Unpack[EmbedOptions]) -> Call[npt.NDArray[Any]]:
    """Vectors of the texts, [n, d] in their order; options: see EmbedOptions."""
    call = embed_with_details(texts, **options)
    return Call(call.method, call.request, call.response, lambda response: call.read(response).vectors)


def embed_with_details(
    texts: Sequence[str], *, outputs: Sequence[results.Output] = ("dense",), **options: Unpack[EmbedOptions]
) -> Call[results.Embeddings]:
    """Vectors with token counts, flags of truncation, the model's fingerprint and timings.

    outputs: of "dense", "sparse" and "multi_vector" all that is wanted and that the model makes (see embed_model).
    """
    _check_names(EmbedOptions, options)
    dtype = options.get("dtype", "float32")
    request = embed_pb2.EmbedRequest(
        model=options.get("model", ""),
        texts=_strings("texts", texts),
        side=f"SIDE_{options.get('side', 'document').upper()}",
        prompt_name=options.get("prompt_name"),
        prompt_text=options.get("prompt_text"),
        prompt_texts=_strings("prompt_texts", options.get("prompt_texts", ())),
        dtype=f"DTYPE_{dtype.upper()}",
        dimensions=options.get("dimensions", 0),
        truncation=f"TRUNCATION_{options.get('truncation', 'end').upper()}",
        priority=f"PRIORITY_{options.get('priority', 'interactive').upper()}",
        outputs=[f"OUTPUT_{output.upper()}" for output in _strings("outputs", outputs)],
    )
    return Call(f"{EMBED}Embed", request, embed_pb2.EmbedResponse, lambda response: reading.embeddings(response, dtype))


def token_places(texts: Sequence[str], model: str = "") -> Call[list[list[tuple[int, int]]]]:
    """Where each token of each text begins and ends, in characters, as the embedding model's tokenizer sees it."""
    request = embed_pb2.TokenizeRequest(model=model, texts=_strings("texts", texts))
    return Call(f"{EMBED}Tokenize", request, embed_pb2.TokenizeResponse, reading.token_places)


def cache_stats() -> Call[results.CacheStats]:
    """What the gateway's embedding cache holds."""
    return Call(f"{CACHE}Stats", cache_pb2.StatsRequest(), cache_pb2.StatsResponse, reading.cache_stats)


def cache_purge(fingerprint: str = "") -> Call[int]:
    """Forgets the vectors of a model, of all models without one; how many there were."""
    request = cache_pb2.PurgeRequest(fingerprint=fingerprint)
    return Call(f"{CACHE}Purge", request, cache_pb2.PurgeResponse, lambda response: int(response.entries))


def embed_model(model: str = "") -> Call[results.Model]:
    """The embedding model in service: everything a client must know of it."""
    request = embed_pb2.GetModelRequest(model=model)
    return Call(f"{EMBED}GetModel", request, embed_pb2.GetModelResponse, reading.embed_model)


def rerank(
    query: str,
    passages: Sequence[str],
    *,
    top_n: int = 0,
    keep_order: bool = False,
    long_passage: results.LongPassage = "window",
    priority: results.Priority = "interactive",
    model: str = "",
) -> Call[list[results.Reranked]]:
    """Scores of the passages, best first (or as sent, with keep_order); top_n 0 gives all."""
    order = rerank_pb2.ORDER_INPUT if keep_order else rerank_pb2.ORDER_SCORE
    request = rerank_pb2.RerankRequest(
        model=model,
        query=query,
        passages=_strings("passages", passages),
        top_n=top_n,
        order=order,
        long_passage=f"LONG_PASSAGE_{long_passage.upper()}",
        priority=f"PRIORITY_{priority.upper()}",
    )
    return Call(f"{RERANK}Rerank", request, rerank_pb2.RerankResponse, reading.reranked)


def rerank_model(model: str = "") -> Call[results.Model]:
    """The reranking model in service."""
    request = rerank_pb2.GetModelRequest(model=model)
    return Call(f"{RERANK}GetModel", request, rerank_pb2.GetModelResponse, reading.rerank_model)


class SearchOptions(TypedDict, total=False):
    """recall_depth: how many passages the first stage hands on, 0 for the server's choice. filter: comparisons joined
    by AND, OR, NOT and parentheses, for example `lang = "en" AND year >= 2020`. return_fields: "title", "text" or
    names of metadata; none means all. recall_weight: share of the recall score in the final order. min_probability:
    leave out passages whose calibrated probability is less. budget_ms: time after which the second stage is cut off.
    collapse: name of a metadata field, of whose values each is shown once. explain: both lists of the first stage too.
    adaptive: rerank part after part, and stop after one that changed nothing in the top_k. words_weight: share of the
    BM25 list in that of recall "hybrid", 0 to 1; None for both alike."""

    top_k: int
    recall_depth: int
    recall: results.Recall
    rerank: bool
    recall_weight: float | None
    min_score: float | None
    min_probability: float | None
    filter: str
    return_fields: Sequence[str]
    budget_ms: int
    collapse: str
    explain: bool
    adaptive: bool
    words_weight: float | None


def search(collection: str, query: str, **options: Unpack[SearchOptions]) -> Call[results.SearchResult]:
    """The best passages of a collection for a query: recall, then rerank; options: see SearchOptions."""
    _check_names(SearchOptions, options)
    request = search_pb2.SearchRequest(
        collection=collection,
        query=query,
        top_k=options.get("top_k", 10),
        recall_depth=options.get("recall_depth", 0),
        recall=f"RECALL_MODE_{options.get('recall', 'vector').upper()}",
        rerank="RERANK_MODE_ON" if options.get("rerank", True) else "RERANK_MODE_OFF",
        recall_weight=options.get("recall_weight"),
        min_score=options.get("min_score"),
        min_probability=options.get("min_probability"),
        filter=options.get("filter", ""),
        return_fields=options.get("return_fields", ()),
        budget_ms=options.get("budget_ms", 0),
        collapse=options.get("collapse", ""),
        explain=options.get("explain", False),
        adaptive=options.get("adaptive", False),
        words_weight=options.get("words_weight"),
    )
    return Call(f"{SEARCH}Search", request, search_pb2.SearchResponse, reading.search_result)


def upsert(
    collection: str, documents: Iterable[Document], *, chunking: Chunking | None = None
) -> Call[results.Upserted]:
    """Embeds and stores documents; they are durable when this returns. A document with a known id is replaced.

    chunking: long documents are stored as chunks, ID#0, ID#1, ...; search with collapse="parent".
    """
    size = search_pb2.Chunking(tokens=chunking.tokens, overlap=chunking.overlap) if chunking else None
    request = search_pb2.UpsertRequest(
        collection=collection, documents=map(_document_message, documents), chunking=size
    )
    return Call(
        f"{SEARCH}Upsert",
        request,
        search_pb2.UpsertResponse,
        lambda response: results.Upserted(response.upserted, response.tokens, response.reused, response.unchanged),
    )


def get(collection: str, ids: Sequence[str]) -> Call[list[Document]]:
    """Those of the documents that exist, in the order asked."""
    request = search_pb2.GetRequest(collection=collection, ids=_strings("ids", ids))
    return Call(
        f"{SEARCH}Get",
        request,
        search_pb2.GetResponse,
        lambda response: [reading.document(message) for message in response.documents],
    )


def delete(collection: str, ids: Sequence[str]) -> Call[int]:
    """How many of the documents there were, or chunks of them; they are gone."""
    request = search_pb2.DeleteRequest(collection=collection, ids=_strings("ids", ids))
    return Call(f"{SEARCH}Delete", request, search_pb2.DeleteResponse, lambda response: int(response.deleted))


def count(collection: str, filter: str = "") -> Call[int]:
    """How many documents a collection holds, or those of them that the filter lets through."""
    request = search_pb2.CountRequest(collection=collection, filter=filter)
    return Call(f"{SEARCH}Count", request, search_pb2.CountResponse, lambda response: int(response.count))


def create_collection(
    name: str,
    fields: Mapping[str, results.FieldType] | None = None,
    *,
    fingerprint: str = "",
    recall_weight: float | None = None,
    language: str = "english",
) -> Call[results.Collection]:
    """A new collection for vectors of the model in service; `fields` are the metadata that filters may use, `language`
    is that by whose rules words are stemmed for BM25."""
    request = search_pb2.CreateCollectionRequest(
        name=name,
        fields=_fields(fields or {}),
        fingerprint=fingerprint,
        recall_weight=recall_weight,
        language=language,
    )
    return Call(
        f"{SEARCH}CreateCollection",
        request,
        search_pb2.CreateCollectionResponse,
        lambda response: reading.collection(response.collection),
    )


def set_calibration(
    collection: str, calibration: results.Calibration | None, *, recall_weight: float | None = None
) -> Call[results.Collection]:
    """Stores what `siftline calibrate` fitted; without a calibration, the collection has none from then on."""
    request = search_pb2.SetCalibrationRequest(collection=collection, recall_weight=recall_weight)
    if calibration is not None:
        request.calibration.rerank_fingerprint = calibration.rerank_fingerprint
        match calibration.map:
            case results.Platt(slope, intercept):
                request.calibration.platt.CopyFrom(search_pb2.Platt(slope=slope, intercept=intercept))
            case results.Isotonic(logits, probabilities):
                points = search_pb2.Isotonic(logits=logits, probabilities=probabilities)
                request.calibration.isotonic.CopyFrom(points)
    return Call(
        f"{SEARCH}SetCalibration",
        request,
        search_pb2.SetCalibrationResponse,
        lambda response: reading.collection(response.collection),
    )


def reindex(name: str, fields: Mapping[str, results.FieldType] | None = None) -> Call[results.Reindexed]:
    """Builds a collection anew from its stored texts, with the model in service and, when given, other fields.

    Searches and writes go on meanwhile. It takes its time: `client.with_timeout(3600).reindex(...)`.
    """
    wanted = None if fields is None else search_pb2.Fields(fields=_fields(fields))
    request = search_pb2.ReindexRequest(name=name, fields=wanted)
    return Call(f"{SEARCH}Reindex", request, search_pb2.ReindexResponse, reading.reindexed)


def reindex_all(old_fingerprint: str, new_fingerprint: str) -> Call[results.ReindexedAll]:
    """Reindexes every tenant's collections from one model to another that the embed service has loaded beside it."""
    request = search_pb2.ReindexAllRequest(old_fingerprint=old_fingerprint, new_fingerprint=new_fingerprint)
    return Call(
        f"{SEARCH}ReindexAll",
        request,
        search_pb2.ReindexAllResponse,
        lambda response: results.ReindexedAll(response.collections, response.documents, response.tokens),
    )


def get_collection(name: str) -> Call[results.Collection]:
    return Call(
        f"{SEARCH}GetCollection",
        search_pb2.GetCollectionRequest(name=name),
        search_pb2.GetCollectionResponse,
        lambda response: reading.collection(response.collection),
    )


def list_collections() -> Call[list[results.Collection]]:
    return Call(
        f"{SEARCH}ListCollections",
        search_pb2.ListCollectionsRequest(),
        search_pb2.ListCollectionsResponse,
        lambda response: [reading.collection(each) for each in response.collections],
    )


def drop_collection(name: str) -> Call[None]:
    """The collection and its documents are gone."""
    request = search_pb2.DropCollectionRequest(name=name)
    return Call(f"{SEARCH}DropCollection", request, search_pb2.DropCollectionResponse, lambda _: None)


def _fields(fields: Mapping[str, results.FieldType]) -> list[search_pb2.Field]:
    return [search_pb2.Field(name=name, type=f"FIELD_TYPE_{kind.upper()}") for name, kind in fields.items()]


def _check_names(kind: type, options: Mapping[str, object]) -> None:
    """What Python does for keywords that are written out: a misspelt option must not go unnoticed."""
    if unknown := sorted(options.keys() - kind.__annotations__.keys()):
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}; there are {', '.join(kind.__annotations__)}")


def _strings(name: str, values: Sequence[str]) -> Sequence[str]:
    """A single string is a sequence of strings too, and never what was meant. What is no string is refused, not left
    out: that would move the places of the others."""
    if isinstance(values, str):
        raise ValueError(f"{name}: expected a list of strings, got one string")
    for place, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(f"{name}[{place}]: expected a string, got {type(value).__name__}")
    return values


def _document_message(document: Document) -> search_pb2.Document:
    message = search_pb2.Document(id=document.id, text=document.text, title=document.title)
    message.metadata.update(dict(document.metadata))
    return message
