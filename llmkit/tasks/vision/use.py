"""A model of pictures in use: files or arrays in, labels and calibrated probabilities out. Never imports torch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmkit.data import pictures as sources
from llmkit.data.picture_arrays import as_pictures
from llmkit.data.picture_sizes import Shape, fit
from llmkit.errors import InputError
from llmkit.explaining import patches
from llmkit.explaining.explanation import Puzzle
from llmkit.predicting.use import Classifier, Feeds
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.vision import pixels
from llmkit.tasks.vision.pixels import Pixels

BATCH = 64  # pictures at once: more are no faster
COLOURS = {1: "grey", 3: "rgb"}


def load(folder: ModelFolder, threads: int | None = None) -> Classifier[np.ndarray]:
    """The model of a folder. Its `predict` takes picture files or arrays (H, W) or (H, W, C), or one of them.

    Pictures of another size are scaled and cropped in the middle, those of other colours converted.
    """
    of = pixels.read(folder)
    mean = pixels.read_mean(folder, of)

    def read(requests: Sequence[Any]) -> np.ndarray:
        return np.stack([picture_of(one, f"picture {number}", of) for number, one in enumerate(requests, 1)])

    def feeds(pictures: np.ndarray) -> Iterator[tuple[np.ndarray, Feeds]]:
        for start in range(0, len(pictures), BATCH):
            which = np.arange(start, min(start + BATCH, len(pictures)))
            yield which, {"pictures": np.ascontiguousarray(pictures[which])}

    model = Classifier(folder, read, feeds, threads)
    model.opened_by, model.is_one = load, is_one
    model.puzzles = lambda requests: puzzles(read(requests), mean)
    return model


def puzzles(pictures: np.ndarray, mean: np.ndarray) -> list[Puzzle[np.ndarray]]:
    """Pictures (N, H, H, C) as patches, each of which the mean picture's can stand for."""
    return [patches.puzzle(picture, mean, lambda shown: shown) for picture in pictures]


def is_one(request: object) -> bool:
    """Whether it is one picture: a file, one of pillow's, an array of two dimensions or with colours in the third."""
    shape: tuple[int, ...] = getattr(request, "shape", ())
    return (
        isinstance(request, str | Path)
        or hasattr(request, "getbands")
        or len(shape) == 2
        or (len(shape) == 3 and shape[2] in COLOURS)
    )


def reading(of: Pixels) -> sources.Reading:
    """How picture files become what the model takes, labels aside."""
    shape = Shape(of.edge, True, COLOURS[of.colours], (of.edge,))
    return sources.Reading(label="none", shape=shape, bits=of.bits)


def picture_of(request: object, place: str, of: Pixels) -> np.ndarray:
    """A file, an array or a picture of pillow's as (H, H, C) uint8. Raises InputError."""
    if isinstance(request, str | Path):
        how = reading(of)
        how = sources.Reading("pictures", how.label, (), how.shape, how.bits)
        return sources.read([Path(request)], how, lambda *report: None, lambda message: None).pixels[0]
    array = np.asarray(request)
    if array.ndim not in (2, 3) or array.dtype.kind not in "uifb":
        raise InputError(f"{place}: a picture file or an array (H, W) or (H, W, C) is needed, not {_told(request)}")
    if array.dtype != np.uint8:
        array = as_pictures(array[None], place)[0]
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[2] not in COLOURS or 0 in array.shape:
        raise InputError(f"{place}: an array of shape {array.shape}; pictures are (H, W), (H, W, 1) or (H, W, 3)")
    return fit(array, place, reading(of).shape, None, place)


def _told(request: object) -> str:
    return f"one of shape {request.shape}" if isinstance(request, np.ndarray) else type(request).__name__
