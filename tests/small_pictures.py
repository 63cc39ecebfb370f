"""Pictures that a generator learns something of in a second: bright squares, left or right of the middle. As files."""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image


def squares(count: int = 240, edge: int = 28, colours: int = 1, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """(pictures (N, H, H, C) uint8, labels): a square of random size and place on the left or on the right."""
    generator = np.random.default_rng(seed)
    pixels, labels = np.zeros((count, edge, edge, colours), np.uint8), []
    for number in range(count):
        side = number % 2
        size, top, left = generator.integers((6, 2, 0), (10, 16, 4))
        left += side * 14
        pixels[number, top : top + size, left : left + size] = generator.integers(150, 256, colours)
        labels.append(("left", "right")[side])
    return pixels, labels


def write_pictures(folder: Path, pixels: np.ndarray, labels: list[str]) -> None:
    """A PNG file for each picture, in a folder for each label."""
    for number, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.squeeze()).save(folder / label / f"{number:04d}.png")


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def npy_bytes(array: np.ndarray) -> bytes:
    """An NPY file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def csv_text(pixels: np.ndarray, labels: list[str] | None = None, where: str = "last", head: bool = False) -> str:
    """A row for each picture: its pixels, and its label `where` it is to be, below a header or not."""
    rows = [list(map(str, picture.ravel())) for picture in pixels]
    names = [f"pixel{k}" for k in range(pixels[0].size)]
    for row, label in zip([names, *rows], ["label", *labels] if labels else [], strict=False):
        row.insert(0 if where == "first" else len(row), label)
    return "\n".join(map(",".join, [names, *rows] if head else rows)) + "\n"
