"""A long text's vector: the mean of its windows' vectors, weighted by their tokens."""

import numpy as np

from services.embed.dense import merge

VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
LENGTHS = np.array([30, 10, 5], np.int32)
COUNTS = np.array([2, 1], np.int32)


def test_weighted_and_normalised_again() -> None:
    merged = merge(VECTORS, LENGTHS, COUNTS, normalized=True)
    np.testing.assert_allclose(merged[0], np.array([3, 1]) / np.sqrt(10), rtol=1e-6)


def test_a_text_of_one_window_keeps_its_vector() -> None:
    merged = merge(VECTORS, LENGTHS, COUNTS, normalized=True)
    assert merged[1].tobytes() == VECTORS[2].tobytes()


def test_vectors_that_have_a_length_of_their_own_keep_it() -> None:
    merged = merge(VECTORS, LENGTHS, COUNTS, normalized=False)
    np.testing.assert_allclose(merged[0], [0.75, 0.25], rtol=1e-6)
