"""What a search had to do without."""

from enum import Enum


class Degradation(Enum):
    """Why an answer is less than what was asked for. The names are those of the proto, without DEGRADED_."""

    RERANK_TIMEOUT = 1
    RERANK_UNAVAILABLE = 2
    RERANK_OVERLOADED = 3
    EMBED_UNAVAILABLE = 4
    RERANK_UNREADABLE = 5
