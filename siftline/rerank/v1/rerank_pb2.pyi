from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_UNSPECIFIED: _ClassVar[Order]
    ORDER_SCORE: _ClassVar[Order]
    ORDER_INPUT: _ClassVar[Order]

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_INTERACTIVE: _ClassVar[Priority]
    PRIORITY_BULK: _ClassVar[Priority]

class LongPassage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LONG_PASSAGE_UNSPECIFIED: _ClassVar[LongPassage]
    LONG_PASSAGE_WINDOW: _ClassVar[LongPassage]
    LONG_PASSAGE_TRUNCATE: _ClassVar[LongPassage]
    LONG_PASSAGE_ERROR: _ClassVar[LongPassage]
ORDER_UNSPECIFIED: Order
ORDER_SCORE: Order
ORDER_INPUT: Order
PRIORITY_UNSPECIFIED: Priority
PRIORITY_INTERACTIVE: Priority
PRIORITY_BULK: Priority
LONG_PASSAGE_UNSPECIFIED: LongPassage
LONG_PASSAGE_WINDOW: LongPassage
LONG_PASSAGE_TRUNCATE: LongPassage
LONG_PASSAGE_ERROR: LongPassage

class RerankRequest(_message.Message):
    __slots__ = ("model", "query", "passages", "top_n", "order", "long_passage", "priority", "max_query_unknown", "fingerprint")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    TOP_N_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    LONG_PASSAGE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MAX_QUERY_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    model: str
    query: str
    passages: _containers.RepeatedScalarFieldContainer[str]
    top_n: int
    order: Order
    long_passage: LongPassage
    priority: Priority
    max_query_unknown: float
    fingerprint: str
    def __init__(self, model: _Optional[str] = ..., query: _Optional[str] = ..., passages: _Optional[_Iterable[str]] = ..., top_n: _Optional[int] = ..., order: _Optional[_Union[Order, str]] = ..., long_passage: _Optional[_Union[LongPassage, str]] = ..., priority: _Optional[_Union[Priority, str]] = ..., max_query_unknown: _Optional[float] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class RerankResponse(_message.Message):
    __slots__ = ("results", "fingerprint", "timings", "tokens", "query_truncated", "query_unknown", "unreadable")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    QUERY_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    QUERY_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RerankResult]
    fingerprint: str
    timings: Timings
    tokens: int
    query_truncated: bool
    query_unknown: float
    unreadable: bool
    def __init__(self, results: _Optional[_Iterable[_Union[RerankResult, _Mapping]]] = ..., fingerprint: _Optional[str] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., tokens: _Optional[int] = ..., query_truncated: bool = ..., query_unknown: _Optional[float] = ..., unreadable: bool = ...) -> None: ...

class RerankResult(_message.Message):
    __slots__ = ("index", "logit", "score", "windows", "truncated")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LOGIT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    index: int
    logit: float
    score: float
    windows: int
    truncated: bool
    def __init__(self, index: _Optional[int] = ..., logit: _Optional[float] = ..., score: _Optional[float] = ..., windows: _Optional[int] = ..., truncated: bool = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("total_us", "tokenize_us", "queue_us", "compute_us")
    TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    TOKENIZE_US_FIELD_NUMBER: _ClassVar[int]
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_US_FIELD_NUMBER: _ClassVar[int]
    total_us: int
    tokenize_us: int
    queue_us: int
    compute_us: int
    def __init__(self, total_us: _Optional[int] = ..., tokenize_us: _Optional[int] = ..., queue_us: _Optional[int] = ..., compute_us: _Optional[int] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model", "fingerprint")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    model: str
    fingerprint: str
    def __init__(self, model: _Optional[str] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("name", "fingerprint", "max_tokens", "score_kind", "engine", "precision", "limits", "licence", "source", "max_query_tokens")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SCORE_KIND_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MAX_QUERY_TOKENS_FIELD_NUMBER: _ClassVar[int]
    name: str
    fingerprint: str
    max_tokens: int
    score_kind: str
    engine: str
    precision: str
    limits: Limits
    licence: str
    source: str
    max_query_tokens: int
    def __init__(self, name: _Optional[str] = ..., fingerprint: _Optional[str] = ..., max_tokens: _Optional[int] = ..., score_kind: _Optional[str] = ..., engine: _Optional[str] = ..., precision: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., licence: _Optional[str] = ..., source: _Optional[str] = ..., max_query_tokens: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_passages", "max_text_bytes", "max_message_bytes", "max_windows")
    MAX_PASSAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_WINDOWS_FIELD_NUMBER: _ClassVar[int]
    max_passages: int
    max_text_bytes: int
    max_message_bytes: int
    max_windows: int
    def __init__(self, max_passages: _Optional[int] = ..., max_text_bytes: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., max_windows: _Optional[int] = ...) -> None: ...
