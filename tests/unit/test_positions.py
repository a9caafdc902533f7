"""Position ids as the architectures count them."""

import numpy as np

from serving.batching import PaddedLayout, Rows

PAD = 1
ROWS = Rows(np.array([0, 7, PAD, 8, 2, 0, 9, 2], np.int32), np.array([5, 3], np.int32))


def test_bert_counts_from_zero() -> None:
    found = PaddedLayout(("input_ids", "position_ids"), PAD).batch([ROWS]).arrays["position_ids"]
    assert found.tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 0, 0]]


def test_roberta_counts_from_pad_and_skips_pad_tokens_in_the_text() -> None:
    found = PaddedLayout(("input_ids", "position_ids"), PAD, PAD + 1).batch([ROWS]).arrays["position_ids"]
    assert found.tolist() == [[2, 3, 1, 4, 5], [2, 3, 4, 1, 1]]
