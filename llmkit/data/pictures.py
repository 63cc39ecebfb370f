"""Files to pictures of one size: PNG and the like, IDX, NPY, NPZ, CSV of pixels. Imports neither torch nor onnx.

In: paths, and how they are read. Out: `Pictures`. Each kind of file has a module of its own: `picture_files.py`,
`picture_arrays.py`, `picture_archives.py`, `pixel_rows.py`.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.data.files import find_files, folder_label
from llmkit.data.picture_archives import PARTS, read_npz
from llmkit.data.picture_arrays import as_pictures, read_idx, read_npy
from llmkit.data.picture_files import ENDINGS, Tell, bits_of, deepest, read_picture
from llmkit.data.picture_sizes import Shape, fit
from llmkit.data.pixel_rows import read_pixel_rows
from llmkit.errors import ConfigError, InputError

NO_PICTURES = (".txt", ".md", ".db", ".ini", ".json", ".yaml", ".xml", ".csv")  # that often lie beside pictures
NEARLY_BLACK = 32  # of 255
REPORT_PICTURES = 1000  # between two calls of progress


@dataclass(frozen=True)
class Pictures:
    """N pictures (N, H, H, C) uint8, C being 1 or 3; where each was found; its label, or None where there are none.

    `splits`: train, val or test of each, where the files say so; `bits`: those that pictures of more than 8 are taken
    to have.
    """

    pixels: np.ndarray
    places: list[str]
    labels: list[str] | None
    splits: list[str] | None = None
    bits: int = 8


class One(NamedTuple):
    """A picture (H, W, C) uint8, where it was found, its label and its split, where they are told."""

    place: str
    pixels: np.ndarray
    label: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Reading:
    """How files are read: their `format`, auto going by the ending, or pictures, idx, npy, npz, csv; their `shape`.

    A picture's label is in `label_files`, in the order of the pictures, or where `label` says: folder, first or last (a
    column), the name of a column, none, or auto: the folder where pictures lie in several, a column that is called so,
    the labels of an NPZ file, else none. `bits`: those of pictures of more than 8; None: what the deepest one needs.
    """

    format: str = "auto"
    label: str = "auto"
    label_files: tuple[Path, ...] = ()
    shape: Shape = field(default_factory=Shape)
    bits: int | None = None


def files_of(patterns: str | list[str], warn: Warn = lambda message: None) -> list[Path]:
    """The files of globs and folders; of a folder and those in it the pictures, others being told.

    Raises ConfigError and InputError.
    """
    patterns = [patterns] if isinstance(patterns, str) else patterns
    found: list[Path] = []
    for pattern in patterns or [""]:
        place = os.path.expanduser(pattern)
        if not os.path.isdir(place):
            found += find_files(pattern, by_content=False)
            continue
        inside = sorted(glob.glob(os.path.join(glob.escape(place), "**", "*"), recursive=True))
        inside = [path for path in inside if os.path.isfile(path)]
        pictures = [Path(path) for path in inside if path.lower().endswith(ENDINGS)]
        if not pictures:
            raise InputError(f"prepare.files: the folder {pattern} holds no picture ({', '.join(ENDINGS)})")
        others = [path for path in inside if not path.lower().endswith((*ENDINGS, *NO_PICTURES))]
        if others:
            what = f"{len(others):,} files in {pattern} are no pictures by their endings and are left out"
            warn(f"{what}, such as {others[0]}")
        found += pictures
    return list({os.path.abspath(path): path for path in found}.values())


def read(paths: list[Path], how: Reading, progress: Progress, warn: Warn) -> Pictures:
    """The pictures of the files, all of one size and colour; what was done to them is told.

    Raises InputError and ConfigError.
    """
    kinds = {path: _kind(path, how.format) for path in paths}
    done: Counter[str] = Counter()
    bits = how.bits or bits_of(deepest(path for path in paths if kinds[path] == "pictures"))
    if bits > 8 and how.bits is None:
        done[f"of more than 8 bits are taken for {bits} bits"] = 0
    folders = _folder_labels([path for path in paths if kinds[path] == "pictures"], how)
    pixels: list[np.ndarray] = []
    places: list[str] = []
    labels: list[str | None] = []
    splits: list[str | None] = []
    for path in paths:
        for place, picture, label, split in _pictures(path, kinds[path], how, folders.get(path), bits, done):
            first, first_place = (pixels[0], places[0]) if pixels else (None, place)
            pixels.append(fit(picture, place, how.shape, first, first_place))
            places.append(place)
            labels.append(label)
            splits.append(split)
            if len(pixels) % REPORT_PICTURES == 0:
                progress("reading pictures", len(pixels), None)
    if not pixels:
        raise InputError(f"there is no picture in {', '.join(map(str, paths[:3]))}; name other files in prepare.files")
    for what, count in done.items():
        warn(f"{count:,} pictures {what}" if count else f"pictures {what}")
    stacked = np.stack(pixels)
    _warn_of_nothing_to_see(stacked, warn)
    found = _labels_of_files(how.label_files, len(places)) if how.label_files else _labels(labels, places, how.label)
    return Pictures(stacked, places, found, _splits(splits), bits)


def _pictures(path: Path, kind: str, how: Reading, folder: str | None, bits: int, done: Counter[str]) -> Iterator[One]:
    """Each picture in a file; `folder` labels a file of one picture.

    `bits` are those of deep pictures; `done` counts the pictures that something was done to.
    """
    if kind == "pictures":
        shape = how.shape
        picture = read_picture(path, shape.colour, shape.resize, bits, lambda what: done.update([what]), shape.sizes)
        yield One(str(path), picture, folder, _folder_split(path))
        return
    told: list[str] = []
    found: Iterable[One]
    if kind == "csv":
        rows = read_pixel_rows(path, how.label, how.shape.resize, told.append, how.shape.sizes)
        found = (One(*row) for row in rows)
    elif kind == "npz":
        found = _of_archive(path, how.label != "none", told.append)
    else:
        pictures = as_pictures(read_idx(path) if kind == "idx" else read_npy(path), path, told.append)
        found = (One(f"{path}, picture {number}", picture) for number, picture in enumerate(pictures, 1))
    for each in found:
        yield each
        done.update(told)


def _of_archive(path: Path, with_labels: bool, tell: Tell) -> Iterator[One]:
    for part in read_npz(path):
        numbers = part.labels if with_labels else None
        labels = [None] * len(part.images) if numbers is None else _as_text(numbers.tolist())
        pictures = as_pictures(part.images, part.name, tell)
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True), 1):
            yield One(f"{part.name}, picture {number}", picture, label, part.split)


def _folder_split(path: Path) -> str | None:
    """The split that a folder above a picture's own names: train/cats/1.png."""
    return PARTS.get(Path(os.path.abspath(path)).parent.parent.name.lower())


def _splits(found: list[str | None]) -> list[str] | None:
    """What the files say of splits, where they say it of each picture and some train and others do not."""
    if any(split is None for split in found) or len(set(found)) < 2 or "train" not in found:
        return None
    return [split or "" for split in found]


def _warn_of_nothing_to_see(pixels: np.ndarray, warn: Warn) -> None:
    """Say so where pictures (N, H, H, C) are all the same, or all nearly black."""
    if len(pixels) > 1 and (pixels == pixels[0]).all():
        warn(f"all {len(pixels):,} pictures are the same: there is nothing to learn from them")
    elif pixels.max() <= NEARLY_BLACK:
        warn(f"all pictures are nearly black: the brightest pixel is {pixels.max()} of 255; scale their values up")


def _kind(path: Path, format: str) -> str:
    """pictures, idx, npy, npz or csv. Raises InputError for an ending that tells none of them."""
    if format != "auto":
        return format
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(ENDINGS) and not path.name.lower().endswith(".gz"):
        return "pictures"
    for ending, kind in ((".npy", "npy"), (".npz", "npz"), (".csv", "csv"), (".idx", "idx"), ("-ubyte", "idx")):
        if name.endswith(ending):
            return kind
    raise InputError(
        f"{path}: its ending is none of {', '.join(ENDINGS)}, .idx, -ubyte, .npy, .npz, .csv; leave it out of "
        "prepare.files or say what it is in prepare.format"
    )


# --- labels -------------------------------------------------------------------------------------------------------


def _folder_labels(pictures: list[Path], how: Reading) -> dict[Path, str]:
    """The folder's name of each picture file, where folders are labels."""
    several = len({Path(os.path.abspath(path)).parent for path in pictures}) > 1
    if how.label_files or not (how.label == "folder" or (how.label == "auto" and several)):
        return {}
    return {path: folder_label(path) for path in pictures}


def _labels_of_files(paths: tuple[Path, ...], pictures: int) -> list[str]:
    """The labels in IDX or NPY files, one for each of so many pictures. Raises InputError."""
    arrays = []
    for path in paths:
        array = read_idx(path) if _kind(path, "auto") == "idx" else read_npy(path)
        if array.ndim != 1:
            raise InputError(f"{path}: labels are one number for each picture, not an array of shape {array.shape}")
        arrays.append(array)
    numbers: list[float] = np.concatenate(arrays).tolist()
    if len(numbers) != pictures:
        raise InputError(f"prepare.labels has {len(numbers):,} labels for {pictures:,} pictures")
    return _as_text(numbers)


def _as_text(numbers: list[float]) -> list[str]:
    return [str(int(number)) if float(number).is_integer() else str(number) for number in numbers]


def _labels(found: list[str | None], places: list[str], label: str) -> list[str] | None:
    """The label of each picture, which `label` says where to find, None without any. Raises ConfigError, InputError."""
    if label == "none" or all(one is None for one in found):
        if label not in ("none", "auto"):
            raise ConfigError(f"prepare.label: {label}: these files have no such labels; set it to none")
        return None
    for one, place in zip(found, places, strict=True):
        if not one:
            raise InputError(f"{place} has no label, others have; name pictures of one kind in prepare.files")
    return [one or "" for one in found]
