"""Patches of a picture as parts of a decision: the picture with those of the mean picture in place of some.

The mean picture of the training pictures is the baseline. A patch is a rectangle of a grid of GRID by GRID at most.
"""

import base64
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from llmkit.data.grid import png
from llmkit.explaining.explanation import AnyExamples, Puzzle
from llmkit.plain import Json

GRID = 7  # patches in a row and in a column: of 4 by 4 pixels where a picture has 28
BUDGET = 100  # pictures: of 7 by 7 patches an order and its reverse; twice as many change little


def puzzle(picture: np.ndarray, mean: np.ndarray, read: Callable[[np.ndarray], AnyExamples]) -> Puzzle[AnyExamples]:
    """A picture (H, W, C) uint8 as patches; `mean` is of its shape, `read` makes examples of pictures (M, H, W, C)."""
    height, width = picture.shape[:2]
    rows, columns = edges(height), edges(width)
    number = _numbers(rows, columns)  # (H, W)
    parts: list[Json] = [
        {"row": top, "column": left, "height": bottom - top, "width": right - left}
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]
    baseline = mean.astype(picture.dtype)

    def shown(masks: np.ndarray) -> AnyExamples:
        there = masks[:, number][..., None]  # (M, P) -> (M, H, W, 1)
        return read(np.where(there, picture, baseline))

    details = {"picture": base64.b64encode(png(picture)).decode()}  # a PNG file
    return Puzzle("patches", parts, shown, BUDGET, details)


def edges(length: int) -> list[int]:
    """Where patches begin along a side, and its end; they differ by a pixel at most."""
    count = min(GRID, length)
    return [round(length * k / count) for k in range(count + 1)]


def _numbers(rows: list[int], columns: list[int]) -> np.ndarray:
    """The number of the patch that each pixel (H, W) lies in, row by row."""
    of_row = np.repeat(np.arange(len(rows) - 1), np.diff(rows))
    of_column = np.repeat(np.arange(len(columns) - 1), np.diff(columns))
    return of_row[:, None] * (len(columns) - 1) + of_column
