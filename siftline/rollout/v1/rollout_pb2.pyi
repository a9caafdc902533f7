from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    PHASE_LOADING: _ClassVar[Phase]
    PHASE_VERIFYING: _ClassVar[Phase]
    PHASE_SHADOWING: _ClassVar[Phase]
    PHASE_SHIFTING: _ClassVar[Phase]
    PHASE_WAITING: _ClassVar[Phase]
    PHASE_PROMOTED: _ClassVar[Phase]
    PHASE_DONE: _ClassVar[Phase]
    PHASE_ROLLED_BACK: _ClassVar[Phase]
PHASE_UNSPECIFIED: Phase
PHASE_LOADING: Phase
PHASE_VERIFYING: Phase
PHASE_SHADOWING: Phase
PHASE_SHIFTING: Phase
PHASE_WAITING: Phase
PHASE_PROMOTED: Phase
PHASE_DONE: Phase
PHASE_ROLLED_BACK: Phase

class Plan(_message.Message):
    __slots__ = ("parity", "shadow_calls", "shadow_seconds", "steps", "step_seconds", "max_error_ratio", "max_slowdown", "slack_ms", "linger_seconds")
    PARITY_FIELD_NUMBER: _ClassVar[int]
    SHADOW_CALLS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    STEP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_ERROR_RATIO_FIELD_NUMBER: _ClassVar[int]
    MAX_SLOWDOWN_FIELD_NUMBER: _ClassVar[int]
    SLACK_MS_FIELD_NUMBER: _ClassVar[int]
    LINGER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    parity: bool
    shadow_calls: int
    shadow_seconds: float
    steps: _containers.RepeatedScalarFieldContainer[float]
    step_seconds: float
    max_error_ratio: float
    max_slowdown: float
    slack_ms: float
    linger_seconds: float
    def __init__(self, parity: bool = ..., shadow_calls: _Optional[int] = ..., shadow_seconds: _Optional[float] = ..., steps: _Optional[_Iterable[float]] = ..., step_seconds: _Optional[float] = ..., max_error_ratio: _Optional[float] = ..., max_slowdown: _Optional[float] = ..., slack_ms: _Optional[float] = ..., linger_seconds: _Optional[float] = ...) -> None: ...

class StartRolloutRequest(_message.Message):
    __slots__ = ("model", "plan")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    model: str
    plan: Plan
    def __init__(self, model: _Optional[str] = ..., plan: _Optional[_Union[Plan, _Mapping]] = ...) -> None: ...

class GetRolloutRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PromoteRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FinishRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AbortRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Tally(_message.Message):
    __slots__ = ("calls", "failures", "p95_ms")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    P95_MS_FIELD_NUMBER: _ClassVar[int]
    calls: int
    failures: int
    p95_ms: float
    def __init__(self, calls: _Optional[int] = ..., failures: _Optional[int] = ..., p95_ms: _Optional[float] = ...) -> None: ...

class Rollout(_message.Message):
    __slots__ = ("phase", "model", "old_fingerprint", "new_fingerprint", "weight", "old_tally", "new_tally", "agreement", "reason", "plan", "service")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    OLD_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    NEW_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    OLD_TALLY_FIELD_NUMBER: _ClassVar[int]
    NEW_TALLY_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    phase: Phase
    model: str
    old_fingerprint: str
    new_fingerprint: str
    weight: float
    old_tally: Tally
    new_tally: Tally
    agreement: float
    reason: str
    plan: Plan
    service: str
    def __init__(self, phase: _Optional[_Union[Phase, str]] = ..., model: _Optional[str] = ..., old_fingerprint: _Optional[str] = ..., new_fingerprint: _Optional[str] = ..., weight: _Optional[float] = ..., old_tally: _Optional[_Union[Tally, _Mapping]] = ..., new_tally: _Optional[_Union[Tally, _Mapping]] = ..., agreement: _Optional[float] = ..., reason: _Optional[str] = ..., plan: _Optional[_Union[Plan, _Mapping]] = ..., service: _Optional[str] = ...) -> None: ...

class StartRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class GetRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class PromoteResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class FinishResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class AbortResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...
