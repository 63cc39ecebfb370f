"""What is learnt of pixels from the training pictures: mean and deviation of each colour, and the mean picture.

In `pixels.json` and `mean.npy` of a prepared folder and of a model folder. The mean picture is the baseline of
explanations.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from llmkit.store import new_files
from llmkit.store.files import Files
from llmkit.tasks.vision.settings import SIZES

FILE, MEAN = "pixels.json", "mean.npy"
BATCH = 1000


@dataclass(frozen=True)
class Pixels:
    """Edge and colours C of the pictures; mean and deviation of each colour, from 0 to 255; bits of deep pictures."""

    edge: int
    colours: int
    mean: list[float]
    deviation: list[float]
    bits: int = 8


def learn(pictures: np.ndarray, bits: int) -> tuple[Pixels, np.ndarray]:
    """(what pixels.json holds, the mean picture (H, H, C) uint8) of training pictures (N, H, H, C) uint8."""
    total, squares = np.zeros(pictures.shape[1:]), np.zeros(pictures.shape[3])
    for start in range(0, len(pictures), BATCH):
        part = pictures[start : start + BATCH].astype(np.float64)
        total += part.sum(axis=0)
        squares += np.square(part).sum(axis=(0, 1, 2))
    picture = total / len(pictures)
    mean = picture.mean(axis=(0, 1))
    variance = squares / (len(pictures) * picture.shape[0] ** 2) - np.square(mean)
    deviation = np.sqrt(np.maximum(variance, 1.0))  # of pictures that are all alike, a step of brightness
    found = Pixels(picture.shape[0], picture.shape[2], mean.tolist(), deviation.tolist(), bits)
    return found, np.rint(picture).astype(np.uint8)


def save(found: Pixels, mean: np.ndarray, out: Path) -> None:
    """Write pixels.json and mean.npy."""
    new_files.write_text(out / FILE, json.dumps(asdict(found)) + "\n")
    new_files.save_array(out / MEAN, mean)


def read(folder: Files) -> Pixels:
    """pixels.json of a prepared folder or of a model folder. Raises InputError."""
    found = folder.read_as(FILE, Pixels)
    sound = found.edge in SIZES and found.colours in (1, 3) and 8 <= found.bits <= 16
    if not sound or not len(found.mean) == len(found.deviation) == found.colours or min(found.deviation) <= 0:
        raise folder.damaged(FILE, "it is not of pictures that are read")
    return found


def read_mean(folder: Files, of: Pixels) -> np.ndarray:
    """The mean picture (H, H, C) uint8. Raises InputError."""
    mean = folder.array(MEAN)
    if mean.shape != (of.edge, of.edge, of.colours) or mean.dtype != np.uint8:
        raise folder.damaged(MEAN, "it is no picture of the model's size")
    return mean
