"""Patches of pictures, on a model that sums the pixels."""

import numpy as np
import pytest

from llmkit.explaining import patches
from llmkit.explaining.explanation import explain


def test_of_a_sum_each_patch_adds_what_its_pixels_have_above_the_mean() -> None:
    picture = np.zeros((28, 28, 1), np.uint8)
    picture[4:8, 8:12] = 10
    mean = np.ones((28, 28, 1))
    puzzle = patches.puzzle(picture, mean, lambda pictures: pictures)
    assert len(puzzle.parts) == 49 and puzzle.parts[9] == {"row": 4, "column": 8, "height": 4, "width": 4}
    found = explain(puzzle, lambda pictures: pictures.sum(axis=(1, 2, 3), dtype=float)[:, None])
    assert found.contributions[9, 0] == pytest.approx(16 * 9)
    assert np.delete(found.contributions[:, 0], 9) == pytest.approx(np.full(48, -16.0))
    assert found.gap == pytest.approx([0.0])


@pytest.mark.parametrize("length", [3, 7, 16, 32, 128])
def test_edges_cover_a_side(length: int) -> None:
    found = patches.edges(length)
    widths = np.diff(found)
    assert found[0] == 0 and found[-1] == length and widths.min() >= 1 and np.ptp(widths) <= 1
    assert len(widths) == min(7, length)
