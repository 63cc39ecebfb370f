"""CSV files with the pixels of a picture in each row, and perhaps its label.

In: a path, also of a .gz. Out: square pictures, each with the line where it was found. The separator is the comma, the
semicolon or the tab, whichever the first line has most of; a first line of words is a header.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from llmkit.data.picture_arrays import as_bytes
from llmkit.data.picture_files import Tell
from llmkit.data.picture_sizes import SIZES, named
from llmkit.data.unpacking import read_bytes
from llmkit.errors import InputError

LABEL_COLUMNS = ("label", "class")


def read_pixel_rows(
    path: Path, label: str, resize: bool, tell: Tell = lambda what: None, sizes: Sequence[int] = SIZES
) -> Iterator[tuple[str, np.ndarray, str | None]]:
    """(place, picture (H, H, C) uint8, label) of each row of a CSV file of pixels, with or without a header.

    `label` says which column holds the label: first, last, auto (the one that a header calls label or class), its name
    in the header, or any other word for none. Unless `resize` is to change them, pictures of other edges than `sizes`
    are refused. Raises InputError.
    """
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text at byte {error.start:,}; is it a CSV file?") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        return
    separator = max(",;\t", key=numbered[0][1].count)
    head = [cell.strip().strip('"').lower() for cell in numbered[0][1].split(separator)]
    has_head = not any(_is_number(cell) for cell in head[1:-1])
    column = _label_column(head, has_head, label, None if resize else sizes, path)
    rows, places, labels = [], [], []
    for number, line in numbered[has_head:]:
        cells, place = line.split(separator), f"{path}, line {number}"
        if len(cells) != len(head):
            raise InputError(f"{place}: {len(cells):,} columns where the first line has {len(head):,}")
        labels.append(None if column is None else cells.pop(column).strip().strip('"'))
        try:
            rows.append(np.array(cells, np.float32))
        except ValueError as error:
            wrong = next(cell for cell in cells if not _is_number(cell))
            raise InputError(f"{place}: {wrong[:40]!r} is no pixel; pixels are numbers from 0 to 255") from error
        places.append(place)
    if not rows:
        return
    shape = _shape(len(rows[0]), f"{path}, line {numbered[0][0]}", None if resize else sizes)
    pixels = as_bytes(np.stack(rows), lambda number: places[number], tell).reshape(-1, *shape)
    yield from zip(places, pixels, labels, strict=True)


def _label_column(head: list[str], has_head: bool, label: str, sizes: Sequence[int] | None, path: Path) -> int | None:
    if label in ("first", "last"):
        return 0 if label == "first" else len(head) - 1
    if has_head and label != "auto" and label.lower() in head:
        return head.index(label.lower())
    named = [head.index(name) for name in LABEL_COLUMNS if has_head and name in head]
    if label == "auto" and named:
        return named[0]
    side = _side(len(head) - 1)
    if label == "auto" and _side(len(head)) is None and side and (sizes is None or side[0] in sizes):
        raise InputError(
            f"{path}: {len(head):,} columns are {len(head) - 1:,} pixels and a label; say where it is: "
            "prepare.label=first or prepare.label=last"
        )
    return None


def _side(count: int) -> tuple[int, int] | None:
    """(edge, channels) of a square picture of so many numbers."""
    for channels in (1, 3):
        edge = math.isqrt(count // channels)
        if edge and edge * edge * channels == count:
            return edge, channels
    return None


def _shape(count: int, place: str, sizes: Sequence[int] | None) -> tuple[int, int, int]:
    found = _side(count)
    if found is None or (sizes is not None and found[0] not in sizes):
        wanted = named(sizes or SIZES)
        raise InputError(
            f"{place}: {count:,} pixels are no picture of {wanted}, grey or colour{_counts(sizes or SIZES)}"
        )
    return found[0], found[0], found[1]


def _counts(sizes: Sequence[int]) -> str:
    """How many pixels pictures of a few sizes have."""
    if len(sizes) > 2:
        return ""
    return f" ({', '.join(f'{edge * edge * channels:,}' for edge in sizes for channels in (1, 3))})"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
