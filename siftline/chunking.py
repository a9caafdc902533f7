"""How long documents are cut into chunks. The gateway does it; a search with `collapse="parent"` gives each once."""

from dataclasses import dataclass

MAX_TOKENS = 65_536


@dataclass(frozen=True)
class Chunking:
    """Tokens of a chunk, and how many of them the next one begins with. Raises ValueError."""

    tokens: int = 256
    overlap: int = 32

    def __post_init__(self) -> None:
        if not 8 <= self.tokens <= MAX_TOKENS:
            raise ValueError(f"tokens: {self.tokens} is not 8 to {MAX_TOKENS}")
        if not 0 <= self.overlap <= self.tokens // 2:
            raise ValueError(f"overlap: {self.overlap} is not 0 to {self.tokens // 2}, half of a chunk")
