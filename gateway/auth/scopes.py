"""What a key may be for, and what each method needs."""

from enum import Enum


class Scope(Enum):
    """`search` reads collections, `write` changes documents, `admin` makes, rebuilds and drops collections."""

    EMBED = "embed"
    RERANK = "rerank"
    SEARCH = "search"
    WRITE = "write"
    ADMIN = "admin"


_METHODS: dict[str, dict[Scope | None, tuple[str, ...]]] = {
    "/siftline.embed.v1.EmbedService/": {Scope.EMBED: ("Embed", "GetModel", "Tokenize", "Decode")},
    "/siftline.cache.v1.CacheService/": {Scope.ADMIN: ("Stats", "Purge")},
    "/siftline.rerank.v1.RerankService/": {Scope.RERANK: ("Rerank", "GetModel")},
    "/siftline.search.v1.SearchService/": {
        Scope.SEARCH: ("Search", "Get", "Count", "GetCollection", "ListCollections"),
        Scope.WRITE: ("Upsert", "UpsertStream", "Delete"),
        Scope.ADMIN: ("CreateCollection", "DropCollection", "Reindex", "ReindexAll", "SetCalibration"),
    },
    "/tei.v1.Info/": {Scope.EMBED: ("Info",)},
    "/tei.v1.Embed/": {
        Scope.EMBED: (
            "Embed",
            "EmbedStream",
            "EmbedSparse",
            "EmbedSparseStream",
            "EmbedAll",
            "EmbedAllStream",
        )
    },
    "/tei.v1.Tokenize/": {Scope.EMBED: ("Tokenize", "TokenizeStream", "Decode", "DecodeStream")},
    "/tei.v1.Predict/": {Scope.RERANK: ("Predict", "PredictStream", "PredictPair", "PredictPairStream")},
    "/tei.v1.Rerank/": {Scope.RERANK: ("Rerank", "RerankStream")},
    # Which of the two it is stands in the request: gateway/api/kserve.py looks at it.
    "/inference.GRPCInferenceService/": {None: ("ModelInfer", "ModelReady", "ModelMetadata", "ServerMetadata")},
}

# None: any key.
NEEDED: dict[str, Scope | None] = {
    service + method: scope
    for service, scopes in _METHODS.items()
    for scope, methods in scopes.items()
    for method in methods
}

# Probes and tools have no key, and learn nothing of anyone's data.
OPEN = (
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
)
