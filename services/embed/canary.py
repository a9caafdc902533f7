"""Texts whose order any embedding model gets right: a question, what answers it, and what does not."""

import numpy as np
from numpy.typing import NDArray

from services.embed.encoder import EncodeOptions, Encoder
from services.embed.quantization import LITTLE_FLOAT32, Dtype
from serving.batching import Priority
from serving.rollout.verification import Refuted, require_agreement, require_order

TEXTS = (
    (
        "A cat sleeps on the sofa.",
        "A kitten naps on the couch.",
        "The central bank raised interest rates.",
    ),
    (
        "How do I boil an egg?",
        "Put the egg into boiling water for eight minutes.",
        "The train to Hamburg leaves at six.",
    ),
    (
        "heavy rain and flooding",
        "A storm brought downpours, and the river rose over its banks.",
        "a recipe for chocolate cake",
    ),
    (
        "The patient has a fever.",
        "The sick man's temperature is high.",
        "The stadium holds fifty thousand people.",
    ),
    (
        "sort a list in Python",
        "Call sorted() to get the items of a list in order.",
        "The museum is closed on Mondays.",
    ),
    (
        "Wie heißt die Hauptstadt von Frankreich?",
        "Paris ist die Hauptstadt von Frankreich.",
        "Bananen enthalten viel Kalium.",
    ),
)
PARITY = 0.999
# Of one text's vectors, computed alone and among others.
STEADY = 0.999
_OPTIONS = EncodeOptions((), "end", Dtype.FLOAT32, 0, Priority.INTERACTIVE)


async def check(new: Encoder, old: Encoder | None, *, parity: bool) -> float | None:
    """The lowest cosine of the two models' vectors, None when they are not of one size. Raises Refuted."""
    vectors = await _vectors(new, [text for texts in TEXTS for text in texts])
    if not np.isfinite(vectors).all():
        raise Refuted("vectors of canary texts are not finite")
    alone = await _vectors(new, TEXTS[0][:1])
    if _cosines(alone, vectors[:1])[0] < STEADY:
        raise Refuted("the vector of a canary text depends on the texts that it is computed with")
    asked, near, far = vectors[0::3], vectors[1::3], vectors[2::3]
    require_order(_cosines(asked, near).tolist(), _cosines(asked, far).tolist())
    agreement = None
    if old is not None:
        others = await _vectors(old, [text for texts in TEXTS for text in texts])
        agreement = float(_cosines(vectors, others).min()) if others.shape == vectors.shape else None
    require_agreement(agreement, PARITY, parity=parity)
    return agreement


async def _vectors(encoder: Encoder, texts: "list[str] | tuple[str, ...]") -> NDArray[np.float32]:
    encoded = await encoder.encode(texts, _OPTIONS, None)
    return np.frombuffer(encoded.vectors, LITTLE_FLOAT32).reshape(len(texts), -1)


def _cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: NDArray[np.float32] = (a * b).sum(axis=1) / np.maximum(norms, np.float32(1e-12))
    return cosines
