"""Sparse vectors and multi-vectors against the same thing said slowly, for rows and windows of any shape."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.embed.token_outputs import multi_vectors, sparse_vectors
from serving.batching import Rows

WEIGHTLESS = (0, 2)
# Texts of windows of (id, weight) pairs.
texts = st.lists(
    st.lists(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1), min_size=1),
    min_size=1,
    max_size=6,
)


def packed(given: list[list[list[tuple[int, float]]]]) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Rows, rows per text, weight of each token."""
    rows = [row for text in given for row in text]
    tokens = [token for row in rows for token in row]
    ids, lengths = (np.array(x, np.int32) for x in ([i for i, _ in tokens], [len(row) for row in rows]))
    counts = np.array([len(text) for text in given], np.int32)
    return Rows(ids, lengths), counts, np.array([weight for _, weight in tokens], np.float32)


@given(texts)
def test_the_largest_weight_of_each_token(given: list[list[list[tuple[int, float]]]]) -> None:
    rows, counts, weights = packed(given)
    found = sparse_vectors(rows, counts, weights, WEIGHTLESS)
    assert len(found.offsets) == len(given) + 1
    for number, text in enumerate(given):
        wanted: dict[int, float] = {}
        for token, weight in (pair for row in text for pair in row):
            if token not in WEIGHTLESS and weight > wanted.get(token, 0.0):
                wanted[token] = weight
        here = slice(found.offsets[number], found.offsets[number + 1])
        pairs = list(zip(found.ids[here].tolist(), found.weights[here].tolist(), strict=True))
        assert pairs == sorted(wanted.items())


@given(texts)
def test_all_vectors_but_the_first_of_each_row(given: list[list[list[tuple[int, float]]]]) -> None:
    rows, counts, weights = packed(given)
    found = multi_vectors(rows, counts, weights[:, None], skipped=1)
    for number, text in enumerate(given):
        wanted = [weight for row in text for _, weight in row[1:]]
        assert found.vectors[found.offsets[number] : found.offsets[number + 1], 0].tolist() == wanted
