"""Words of a text as BM25 sees them.

The engine splits at spaces and punctuation and stems English. Scripts written without spaces would be one endless word
to it, so their runs are indexed a second time as pairs of neighbouring characters, and asked for in the same way.
"""

import re

from gateway.recall import ENGLISH

# Those that the engine stems. It has "chinese" too, but there asks for all segments of a run, one after the other, so a
# question finds nothing; pairs serve Chinese in any language.
LANGUAGES = (
    *("arabic", "armenian", "basque", "catalan", "danish", "dutch", ENGLISH, "finnish", "french", "german"),
    *("greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian"),
    *("portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish"),
)
# Not indexed, and never asked for: the engine dies of a query for any of (STOP|STOP|WORD). This is the list that it has
# of itself; it is said to it all the same, so that the two are one.
_STOPPED = (
    "a is the an and are as at be but by for if in into it no not of on or such that their then there these they this "
    "to was will with"
)
STOP_WORDS = tuple(_STOPPED.split(" "))

_WORD = re.compile(r"[^\W_]+")
# Thai, Lao, Burmese, Khmer; kana; Han; Hangul; Han beyond the basic plane
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_SPACELESS_RUN = re.compile(f"[{_SPACELESS}\U00020000-\U0003ffff]+")


def words(text: str, language: str = ENGLISH) -> list[str]:
    """Distinct words of scripts with spaces, lower case, in order, without stop words. Letters and digits only."""
    spaced = text if text.isascii() else _SPACELESS_RUN.sub(" ", text)
    stopped = stop_words(language)
    return [word for word in dict.fromkeys(_WORD.findall(spaced.lower())) if word not in stopped]


def stop_words(language: str) -> tuple[str, ...]:
    """Words that are neither indexed nor asked for."""
    return STOP_WORDS if language == ENGLISH else ()


def pairs(text: str) -> list[str]:
    """Pairs of neighbours in runs of scripts without spaces, in order; a run of one character is itself."""
    if text.isascii():
        return []
    runs = (run for found in _SPACELESS_RUN.findall(text) for run in _WORD.findall(found))
    return [pair for run in runs for pair in _pairs(run)]


def _pairs(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[at : at + 2] for at in range(len(run) - 1)]
