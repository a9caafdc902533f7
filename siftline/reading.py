"""How every response is read: wire messages in, plain values of siftline.results out."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import json_format

from siftline import results
from siftline.cache.v1 import cache_pb2
from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2
from siftline.search.v1 import search_pb2


def embeddings(response: embed_pb2.EmbedResponse, dtype: results.Dtype) -> results.Embeddings:
    flat = np.frombuffer(response.vectors, results.NUMPY_DTYPES[dtype])
    timings = response.timings
    return results.Embeddings(
        vectors=flat.reshape(response.count, -1),
        token_counts=tuple(response.token_counts),
        truncated=tuple(response.truncated),
        windows=tuple(response.windows),
        fingerprint=response.fingerprint,
        cached=response.cached,
        timings=results.EmbedTimings(
            timings.total_us, timings.tokenize_us, timings.queue_us, timings.compute_us, timings.cache_us
        ),
        sparse=_sparse(response.sparse, dtype),
        multi_vectors=_multi_vectors(response.multi_vectors, dtype),
    )


def _sparse(message: embed_pb2.SparseVectors, dtype: results.Dtype) -> tuple[results.SparseVector, ...]:
    ids, weights = np.frombuffer(message.ids, "<u4"), np.frombuffer(message.weights, results.NUMPY_DTYPES[dtype])
    return tuple(results.SparseVector(ids[begin:end], weights[begin:end]) for begin, end in pairwise(message.offsets))


def _multi_vectors(message: embed_pb2.MultiVectors, dtype: results.Dtype) -> tuple[npt.NDArray[Any], ...]:
    if not message.offsets:
        return ()
    flat = np.frombuffer(message.vectors, results.NUMPY_DTYPES[dtype]).reshape(message.offsets[-1], -1)
    return tuple(flat[begin:end] for begin, end in pairwise(message.offsets))


def reranked(response: rerank_pb2.RerankResponse) -> list[results.Reranked]:
    return [
        results.Reranked(each.index, each.logit, each.score, each.windows, each.truncated) for each in response.results
    ]


def cache_stats(response: cache_pb2.StatsResponse) -> results.CacheStats:
    models = (results.CachedModel(one.fingerprint, one.entries, one.bytes, one.in_service) for one in response.models)
    return results.CacheStats(tuple(models), response.hit_ratio)


def token_places(response: embed_pb2.TokenizeResponse) -> list[list[tuple[int, int]]]:
    return [list(zip(text.starts, text.ends, strict=True)) for text in response.texts]


def embed_model(response: embed_pb2.GetModelResponse) -> results.Model:
    return results.Model(
        dimensions=response.dimensions,
        pooling=response.pooling,
        normalized=response.normalized,
        prompts=dict(response.prompts),
        outputs=tuple(_OUTPUTS[output] for output in response.outputs if output in _OUTPUTS),
        multi_vector_dimensions=response.multi_vector_dimensions,
        prompt_max_tokens=dict(response.prompt_max_tokens),
        **_model_facts(response),
    )


_OUTPUTS: dict[int, results.Output] = {
    embed_pb2.OUTPUT_DENSE: "dense",
    embed_pb2.OUTPUT_SPARSE: "sparse",
    embed_pb2.OUTPUT_MULTI_VECTOR: "multi_vector",
}


def rerank_model(response: rerank_pb2.GetModelResponse) -> results.Model:
    return results.Model(**_model_facts(response))


def _model_facts(response: embed_pb2.GetModelResponse | rerank_pb2.GetModelResponse) -> dict[str, Any]:
    names = ("name", "fingerprint", "max_tokens", "engine", "precision", "licence", "source")
    limits = {field.name: value for field, value in response.limits.ListFields()}
    return {name: getattr(response, name) for name in names} | {"limits": limits}


def document(message: search_pb2.Document) -> results.Document:
    return results.Document(message.id, message.text, message.title, json_format.MessageToDict(message.metadata))


def collection(message: search_pb2.Collection) -> results.Collection:
    return results.Collection(
        name=message.name,
        fingerprint=message.fingerprint,
        model=message.model,
        dimensions=message.dimensions,
        count=message.count,
        fields={field.name: _FIELD_TYPES[field.type] for field in message.fields if field.type in _FIELD_TYPES},
        recall_weight=message.recall_weight,
        calibration=_calibration(message.calibration) if message.HasField("calibration") else None,
        language=message.language,
    )


_FIELD_TYPES: dict[int, results.FieldType] = {
    search_pb2.FIELD_TYPE_TAG: "tag",
    search_pb2.FIELD_TYPE_NUMBER: "number",
    search_pb2.FIELD_TYPE_TIME: "time",
    search_pb2.FIELD_TYPE_GEO: "geo",
}


def reindexed(response: search_pb2.ReindexResponse) -> results.Reindexed:
    return results.Reindexed(collection(response.collection), response.documents, response.tokens, response.reused)


def _calibration(message: search_pb2.Calibration) -> results.Calibration:
    if message.HasField("platt"):
        return results.Calibration(
            message.rerank_fingerprint, results.Platt(message.platt.slope, message.platt.intercept)
        )
    points = message.isotonic
    return results.Calibration(
        message.rerank_fingerprint, results.Isotonic(tuple(points.logits), tuple(points.probabilities))
    )


def search_result(response: search_pb2.SearchResponse) -> results.SearchResult:
    timings = response.timings
    return results.SearchResult(
        hits=tuple(_hit(message) for message in response.hits),
        degraded=tuple(search_pb2.Degraded.Name(each).removeprefix("DEGRADED_") for each in response.degraded),
        recalled=response.recalled,
        embed_fingerprint=response.embed_fingerprint,
        rerank_fingerprint=response.rerank_fingerprint,
        timings=results.SearchTimings(
            timings.total_us, timings.embed_us, timings.recall_us, timings.rerank_us, timings.embedding_cached
        ),
        reranked=response.reranked,
        explanation=_explanation(response.explanation) if response.HasField("explanation") else None,
    )


def _explanation(message: search_pb2.Explanation) -> results.Explanation:
    lists = ([results.Candidate(one.id, one.score) for one in found] for found in (message.nearest, message.matching))
    return results.Explanation(*map(tuple, lists))


def _hit(message: search_pb2.Hit) -> results.Hit:
    return results.Hit(
        id=message.id,
        title=message.title,
        text=message.text,
        metadata=json_format.MessageToDict(message.metadata),
        score=message.score,
        recall_rank=message.recall_rank,
        recall_score=message.recall_score,
        rerank_score=message.rerank_score if message.HasField("rerank_score") else None,
        rerank_logit=message.rerank_logit if message.HasField("rerank_logit") else None,
        vector_rank=message.vector_rank,
        text_rank=message.text_rank,
        probability=message.probability if message.HasField("probability") else None,
        collapsed=message.collapsed,
    )
