"""Batches of lists of different lengths."""

import numpy as np

from llmkit.data.ragged import Ragged, batches, from_lists


def test_batches_are_of_about_one_length_and_bounded():
    first, second = np.array([5, 1, 9, 2, 50, 1]), np.array([3, 1, 100, 1, 2, 1])
    found = [batch.tolist() for batch in batches(first, second, most=3, most_numbers=120)]
    assert found == [[1, 5, 3], [0], [2], [4]]
    assert isinstance(from_lists([]), Ragged) and len(from_lists([])) == 0
