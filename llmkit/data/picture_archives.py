"""NPZ files with pictures, perhaps their labels, perhaps in parts that train, validate and test, as MedMNIST has them.

In: a path. Out: its parts. Names of arrays are `images` (also pictures, x, data) and `labels` (also y, targets),
alone or with train, val or test before or after them: `train_images`, `y_test`.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from llmkit.data.files import open_file
from llmkit.data.picture_arrays import npy_array
from llmkit.data.unpacking import unpacked
from llmkit.errors import InputError

PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
PARTS |= {"test": "test", "testing": "test"}
WORDS = {"images": "images", "pictures": "images", "x": "images", "data": "images"}
WORDS |= {"labels": "labels", "label": "labels", "y": "labels", "targets": "labels"}
NAME = re.compile(rf"(?:({'|'.join(PARTS)})_)?({'|'.join(WORDS)})(?:_({'|'.join(PARTS)}))?")


class Part(NamedTuple):
    """Pictures of an archive: the array, the label (N,) of each or None, the split that they belong to or None."""

    name: str
    images: np.ndarray
    labels: np.ndarray | None
    split: str | None


def read_npz(path: Path) -> list[Part]:
    """The parts of an NPZ file. Raises InputError."""
    found: dict[tuple[str | None, str], tuple[str, np.ndarray]] = {}
    names = []
    with open_file(path) as file:
        for blocks, label, _ in unpacked(file, str(path)):
            name = label.removeprefix(f"{path}:").removesuffix(".npy")
            names.append(name)
            if match := NAME.fullmatch(name.lower()):
                before, word, after = match.groups()
                split = PARTS[before or after] if before or after else None
                found[split, WORDS[word]] = label, npy_array(b"".join(blocks), label)
    splits = [split for split in (None, "train", "val", "test") if (split, "images") in found]
    if not splits:
        raise InputError(
            f"{path}: there is no array called images, or train_images and the like; there are: {', '.join(names[:10])}"
        )
    return [_part(found, split) for split in splits]


def _part(found: dict[tuple[str | None, str], tuple[str, np.ndarray]], split: str | None) -> Part:
    name, images = found[split, "images"]
    if (split, "labels") not in found:
        return Part(name, images, None, split)
    other, labels = found[split, "labels"]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) != len(images):
        raise InputError(f"{other}: labels of shape {labels.shape} for {len(images):,} pictures; one each is needed")
    return Part(name, images, labels, split)
