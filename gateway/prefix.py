"""The beginning of a text, for parts that take no more of it."""


def prefix(text: str, max_bytes: int) -> str:
    """The text, or as much of its beginning as fits into `max_bytes` of UTF-8. 0 is no limit."""
    if not max_bytes or len(text) * 4 <= max_bytes:
        return text
    return text.encode()[:max_bytes].decode(errors="ignore")
