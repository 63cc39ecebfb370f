"""Pictures as PNG files: one by itself, or many in a grid. Imports pillow late, neither torch nor onnx."""

import io
import math

import numpy as np

GAP, GAP_COLOUR = 1, 128  # pixels between two pictures, and how bright they are


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of a picture (H, W, C) uint8, C being 1 or 3."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG", optimize=True)
    return file.getvalue()


def grid(pixels: np.ndarray, columns: int) -> np.ndarray:
    """Pictures (N, H, W, C) in rows of `columns`, as one (H', W', C)."""
    count, height, width, colours = pixels.shape
    rows = math.ceil(count / columns)
    cells = np.full((rows * columns, height + GAP, width + GAP, colours), GAP_COLOUR, np.uint8)
    cells[:count, :height, :width] = pixels
    cells[count:] = GAP_COLOUR
    whole = cells.reshape(rows, columns, height + GAP, width + GAP, colours).transpose(0, 2, 1, 3, 4)
    return whole.reshape(rows * (height + GAP), columns * (width + GAP), colours)[:-GAP, :-GAP]


def columns_for(count: int, labels: int) -> int:
    """Columns of a grid where none are named: one for each label, up to 20, else about as many as rows."""
    wanted = labels if 1 < labels <= 20 else math.ceil(math.sqrt(count))
    return min(count, wanted)
