from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FieldType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIELD_TYPE_UNSPECIFIED: _ClassVar[FieldType]
    FIELD_TYPE_TAG: _ClassVar[FieldType]
    FIELD_TYPE_NUMBER: _ClassVar[FieldType]
    FIELD_TYPE_TIME: _ClassVar[FieldType]
    FIELD_TYPE_GEO: _ClassVar[FieldType]

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURABILITY_UNSPECIFIED: _ClassVar[Durability]
    DURABILITY_MEMORY: _ClassVar[Durability]
    DURABILITY_FSYNC: _ClassVar[Durability]

class RerankMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RERANK_MODE_UNSPECIFIED: _ClassVar[RerankMode]
    RERANK_MODE_ON: _ClassVar[RerankMode]
    RERANK_MODE_OFF: _ClassVar[RerankMode]

class RecallMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECALL_MODE_UNSPECIFIED: _ClassVar[RecallMode]
    RECALL_MODE_VECTOR: _ClassVar[RecallMode]
    RECALL_MODE_BM25: _ClassVar[RecallMode]
    RECALL_MODE_HYBRID: _ClassVar[RecallMode]

class Degraded(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEGRADED_UNSPECIFIED: _ClassVar[Degraded]
    DEGRADED_RERANK_TIMEOUT: _ClassVar[Degraded]
    DEGRADED_RERANK_UNAVAILABLE: _ClassVar[Degraded]
    DEGRADED_RERANK_OVERLOADED: _ClassVar[Degraded]
    DEGRADED_EMBED_UNAVAILABLE: _ClassVar[Degraded]
    DEGRADED_RERANK_UNREADABLE: _ClassVar[Degraded]
FIELD_TYPE_UNSPECIFIED: FieldType
FIELD_TYPE_TAG: FieldType
FIELD_TYPE_NUMBER: FieldType
FIELD_TYPE_TIME: FieldType
FIELD_TYPE_GEO: FieldType
DURABILITY_UNSPECIFIED: Durability
DURABILITY_MEMORY: Durability
DURABILITY_FSYNC: Durability
RERANK_MODE_UNSPECIFIED: RerankMode
RERANK_MODE_ON: RerankMode
RERANK_MODE_OFF: RerankMode
RECALL_MODE_UNSPECIFIED: RecallMode
RECALL_MODE_VECTOR: RecallMode
RECALL_MODE_BM25: RecallMode
RECALL_MODE_HYBRID: RecallMode
DEGRADED_UNSPECIFIED: Degraded
DEGRADED_RERANK_TIMEOUT: Degraded
DEGRADED_RERANK_UNAVAILABLE: Degraded
DEGRADED_RERANK_OVERLOADED: Degraded
DEGRADED_EMBED_UNAVAILABLE: Degraded
DEGRADED_RERANK_UNREADABLE: Degraded

class Field(_message.Message):
    __slots__ = ("name", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: FieldType
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[FieldType, str]] = ...) -> None: ...

class Collection(_message.Message):
    __slots__ = ("name", "fingerprint", "dimensions", "fields", "count", "recall_weight", "model", "calibration", "language")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    RECALL_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    fingerprint: str
    dimensions: int
    fields: _containers.RepeatedCompositeFieldContainer[Field]
    count: int
    recall_weight: float
    model: str
    calibration: Calibration
    language: str
    def __init__(self, name: _Optional[str] = ..., fingerprint: _Optional[str] = ..., dimensions: _Optional[int] = ..., fields: _Optional[_Iterable[_Union[Field, _Mapping]]] = ..., count: _Optional[int] = ..., recall_weight: _Optional[float] = ..., model: _Optional[str] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., language: _Optional[str] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("rerank_fingerprint", "platt", "isotonic")
    RERANK_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    PLATT_FIELD_NUMBER: _ClassVar[int]
    ISOTONIC_FIELD_NUMBER: _ClassVar[int]
    rerank_fingerprint: str
    platt: Platt
    isotonic: Isotonic
    def __init__(self, rerank_fingerprint: _Optional[str] = ..., platt: _Optional[_Union[Platt, _Mapping]] = ..., isotonic: _Optional[_Union[Isotonic, _Mapping]] = ...) -> None: ...

class Platt(_message.Message):
    __slots__ = ("slope", "intercept")
    SLOPE_FIELD_NUMBER: _ClassVar[int]
    INTERCEPT_FIELD_NUMBER: _ClassVar[int]
    slope: float
    intercept: float
    def __init__(self, slope: _Optional[float] = ..., intercept: _Optional[float] = ...) -> None: ...

class Isotonic(_message.Message):
    __slots__ = ("logits", "probabilities")
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    logits: _containers.RepeatedScalarFieldContainer[float]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, logits: _Optional[_Iterable[float]] = ..., probabilities: _Optional[_Iterable[float]] = ...) -> None: ...

class SetCalibrationRequest(_message.Message):
    __slots__ = ("collection", "calibration", "recall_weight")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    RECALL_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    collection: str
    calibration: Calibration
    recall_weight: float
    def __init__(self, collection: _Optional[str] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., recall_weight: _Optional[float] = ...) -> None: ...

class SetCalibrationResponse(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: Collection
    def __init__(self, collection: _Optional[_Union[Collection, _Mapping]] = ...) -> None: ...

class CreateCollectionRequest(_message.Message):
    __slots__ = ("name", "fields", "fingerprint", "recall_weight", "language")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    RECALL_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    fields: _containers.RepeatedCompositeFieldContainer[Field]
    fingerprint: str
    recall_weight: float
    language: str
    def __init__(self, name: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[Field, _Mapping]]] = ..., fingerprint: _Optional[str] = ..., recall_weight: _Optional[float] = ..., language: _Optional[str] = ...) -> None: ...

class CreateCollectionResponse(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: Collection
    def __init__(self, collection: _Optional[_Union[Collection, _Mapping]] = ...) -> None: ...

class GetCollectionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetCollectionResponse(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: Collection
    def __init__(self, collection: _Optional[_Union[Collection, _Mapping]] = ...) -> None: ...

class ListCollectionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCollectionsResponse(_message.Message):
    __slots__ = ("collections",)
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    collections: _containers.RepeatedCompositeFieldContainer[Collection]
    def __init__(self, collections: _Optional[_Iterable[_Union[Collection, _Mapping]]] = ...) -> None: ...

class DropCollectionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DropCollectionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReindexRequest(_message.Message):
    __slots__ = ("name", "fields", "fingerprint")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    fields: Fields
    fingerprint: str
    def __init__(self, name: _Optional[str] = ..., fields: _Optional[_Union[Fields, _Mapping]] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class Fields(_message.Message):
    __slots__ = ("fields",)
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    fields: _containers.RepeatedCompositeFieldContainer[Field]
    def __init__(self, fields: _Optional[_Iterable[_Union[Field, _Mapping]]] = ...) -> None: ...

class ReindexResponse(_message.Message):
    __slots__ = ("collection", "documents", "tokens", "reused")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    REUSED_FIELD_NUMBER: _ClassVar[int]
    collection: Collection
    documents: int
    tokens: int
    reused: int
    def __init__(self, collection: _Optional[_Union[Collection, _Mapping]] = ..., documents: _Optional[int] = ..., tokens: _Optional[int] = ..., reused: _Optional[int] = ...) -> None: ...

class ReindexAllRequest(_message.Message):
    __slots__ = ("old_fingerprint", "new_fingerprint")
    OLD_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    NEW_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    old_fingerprint: str
    new_fingerprint: str
    def __init__(self, old_fingerprint: _Optional[str] = ..., new_fingerprint: _Optional[str] = ...) -> None: ...

class ReindexAllResponse(_message.Message):
    __slots__ = ("collections", "documents", "tokens")
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    collections: int
    documents: int
    tokens: int
    def __init__(self, collections: _Optional[int] = ..., documents: _Optional[int] = ..., tokens: _Optional[int] = ...) -> None: ...

class Document(_message.Message):
    __slots__ = ("id", "text", "title", "metadata")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    title: str
    metadata: _struct_pb2.Struct
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ..., title: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class DocumentError(_message.Message):
    __slots__ = ("index", "id", "field", "message")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    index: int
    id: str
    field: str
    message: str
    def __init__(self, index: _Optional[int] = ..., id: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Chunking(_message.Message):
    __slots__ = ("tokens", "overlap")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    tokens: int
    overlap: int
    def __init__(self, tokens: _Optional[int] = ..., overlap: _Optional[int] = ...) -> None: ...

class UpsertRequest(_message.Message):
    __slots__ = ("collection", "documents", "skip_invalid", "durability", "chunking")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    SKIP_INVALID_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    CHUNKING_FIELD_NUMBER: _ClassVar[int]
    collection: str
    documents: _containers.RepeatedCompositeFieldContainer[Document]
    skip_invalid: bool
    durability: Durability
    chunking: Chunking
    def __init__(self, collection: _Optional[str] = ..., documents: _Optional[_Iterable[_Union[Document, _Mapping]]] = ..., skip_invalid: bool = ..., durability: _Optional[_Union[Durability, str]] = ..., chunking: _Optional[_Union[Chunking, _Mapping]] = ...) -> None: ...

class UpsertResponse(_message.Message):
    __slots__ = ("upserted", "tokens", "reused", "errors", "skipped", "unchanged")
    UPSERTED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    REUSED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    upserted: int
    tokens: int
    reused: int
    errors: _containers.RepeatedCompositeFieldContainer[DocumentError]
    skipped: int
    unchanged: int
    def __init__(self, upserted: _Optional[int] = ..., tokens: _Optional[int] = ..., reused: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[DocumentError, _Mapping]]] = ..., skipped: _Optional[int] = ..., unchanged: _Optional[int] = ...) -> None: ...

class UpsertStreamRequest(_message.Message):
    __slots__ = ("collection", "documents", "skip_invalid", "durability", "chunking")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    SKIP_INVALID_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    CHUNKING_FIELD_NUMBER: _ClassVar[int]
    collection: str
    documents: _containers.RepeatedCompositeFieldContainer[Document]
    skip_invalid: bool
    durability: Durability
    chunking: Chunking
    def __init__(self, collection: _Optional[str] = ..., documents: _Optional[_Iterable[_Union[Document, _Mapping]]] = ..., skip_invalid: bool = ..., durability: _Optional[_Union[Durability, str]] = ..., chunking: _Optional[_Union[Chunking, _Mapping]] = ...) -> None: ...

class UpsertStreamResponse(_message.Message):
    __slots__ = ("upserted", "tokens", "reused", "errors", "skipped", "unchanged")
    UPSERTED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    REUSED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    upserted: int
    tokens: int
    reused: int
    errors: _containers.RepeatedCompositeFieldContainer[DocumentError]
    skipped: int
    unchanged: int
    def __init__(self, upserted: _Optional[int] = ..., tokens: _Optional[int] = ..., reused: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[DocumentError, _Mapping]]] = ..., skipped: _Optional[int] = ..., unchanged: _Optional[int] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("collection", "ids")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, collection: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("deleted",)
    DELETED_FIELD_NUMBER: _ClassVar[int]
    deleted: int
    def __init__(self, deleted: _Optional[int] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("collection", "ids")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, collection: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("documents",)
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    documents: _containers.RepeatedCompositeFieldContainer[Document]
    def __init__(self, documents: _Optional[_Iterable[_Union[Document, _Mapping]]] = ...) -> None: ...

class CountRequest(_message.Message):
    __slots__ = ("collection", "filter")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    collection: str
    filter: str
    def __init__(self, collection: _Optional[str] = ..., filter: _Optional[str] = ...) -> None: ...

class CountResponse(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("collection", "query", "top_k", "recall_depth", "rerank", "min_score", "filter", "return_fields", "recall_weight", "recall", "budget_ms", "min_probability", "collapse", "explain", "adaptive", "words_weight")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    RECALL_DEPTH_FIELD_NUMBER: _ClassVar[int]
    RERANK_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    RETURN_FIELDS_FIELD_NUMBER: _ClassVar[int]
    RECALL_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    BUDGET_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    COLLAPSE_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    ADAPTIVE_FIELD_NUMBER: _ClassVar[int]
    WORDS_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    collection: str
    query: str
    top_k: int
    recall_depth: int
    rerank: RerankMode
    min_score: float
    filter: str
    return_fields: _containers.RepeatedScalarFieldContainer[str]
    recall_weight: float
    recall: RecallMode
    budget_ms: int
    min_probability: float
    collapse: str
    explain: bool
    adaptive: bool
    words_weight: float
    def __init__(self, collection: _Optional[str] = ..., query: _Optional[str] = ..., top_k: _Optional[int] = ..., recall_depth: _Optional[int] = ..., rerank: _Optional[_Union[RerankMode, str]] = ..., min_score: _Optional[float] = ..., filter: _Optional[str] = ..., return_fields: _Optional[_Iterable[str]] = ..., recall_weight: _Optional[float] = ..., recall: _Optional[_Union[RecallMode, str]] = ..., budget_ms: _Optional[int] = ..., min_probability: _Optional[float] = ..., collapse: _Optional[str] = ..., explain: bool = ..., adaptive: bool = ..., words_weight: _Optional[float] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("hits", "degraded", "timings", "embed_fingerprint", "rerank_fingerprint", "recalled", "reranked", "explanation")
    HITS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    EMBED_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    RERANK_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    RECALLED_FIELD_NUMBER: _ClassVar[int]
    RERANKED_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    degraded: _containers.RepeatedScalarFieldContainer[Degraded]
    timings: Timings
    embed_fingerprint: str
    rerank_fingerprint: str
    recalled: int
    reranked: int
    explanation: Explanation
    def __init__(self, hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., degraded: _Optional[_Iterable[_Union[Degraded, str]]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., embed_fingerprint: _Optional[str] = ..., rerank_fingerprint: _Optional[str] = ..., recalled: _Optional[int] = ..., reranked: _Optional[int] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("nearest", "matching")
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    MATCHING_FIELD_NUMBER: _ClassVar[int]
    nearest: _containers.RepeatedCompositeFieldContainer[Candidate]
    matching: _containers.RepeatedCompositeFieldContainer[Candidate]
    def __init__(self, nearest: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., matching: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("id", "score")
    ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    id: str
    score: float
    def __init__(self, id: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("id", "title", "text", "metadata", "recall_rank", "recall_score", "rerank_score", "rerank_logit", "score", "vector_rank", "text_rank", "probability", "collapsed")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    RECALL_RANK_FIELD_NUMBER: _ClassVar[int]
    RECALL_SCORE_FIELD_NUMBER: _ClassVar[int]
    RERANK_SCORE_FIELD_NUMBER: _ClassVar[int]
    RERANK_LOGIT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    VECTOR_RANK_FIELD_NUMBER: _ClassVar[int]
    TEXT_RANK_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    COLLAPSED_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    text: str
    metadata: _struct_pb2.Struct
    recall_rank: int
    recall_score: float
    rerank_score: float
    rerank_logit: float
    score: float
    vector_rank: int
    text_rank: int
    probability: float
    collapsed: int
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., text: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., recall_rank: _Optional[int] = ..., recall_score: _Optional[float] = ..., rerank_score: _Optional[float] = ..., rerank_logit: _Optional[float] = ..., score: _Optional[float] = ..., vector_rank: _Optional[int] = ..., text_rank: _Optional[int] = ..., probability: _Optional[float] = ..., collapsed: _Optional[int] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("total_us", "embed_us", "recall_us", "rerank_us", "embedding_cached")
    TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    EMBED_US_FIELD_NUMBER: _ClassVar[int]
    RECALL_US_FIELD_NUMBER: _ClassVar[int]
    RERANK_US_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_CACHED_FIELD_NUMBER: _ClassVar[int]
    total_us: int
    embed_us: int
    recall_us: int
    rerank_us: int
    embedding_cached: bool
    def __init__(self, total_us: _Optional[int] = ..., embed_us: _Optional[int] = ..., recall_us: _Optional[int] = ..., rerank_us: _Optional[int] = ..., embedding_cached: bool = ...) -> None: ...
