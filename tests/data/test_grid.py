"""A grid of pictures, by hand."""

import numpy as np

from llmkit.data.grid import grid


def test_a_grid_by_hand():
    pixels = np.arange(3, dtype=np.uint8)[:, None, None, None]
    assert grid(pixels, 2)[..., 0].tolist() == [[0, 128, 1], [128, 128, 128], [2, 128, 128]]
