"""Files to pictures of one size: PNG and the like, IDX, NPY, CSV of pixels. Imports neither torch nor onnx.

In: the section `prepare` and files. Out: `Pictures`. Sizes are looked at before anything is decoded, so a tiny file
that would unpack to gigabytes is refused for what it says of itself.
"""

import glob
import io
import math
import os
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llmkit.data.files import find_files, open_file
from llmkit.data.unpacking import read_bytes
from llmkit.errors import ConfigError, InputError
from llmkit.tasks.image.settings import Prepare

Progress = Callable[[str, int, int | None], None]

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
DECODED = ("PNG", "JPEG", "GIF", "BMP", "WEBP")  # by these decoders alone
SIZES = (28, 32)
MOST_PIXELS = 1 << 24  # of a picture file: 4096 × 4096
REPORT_PICTURES = 1000  # between two calls of progress
LABEL_COLUMNS = ("label", "class")


@dataclass(frozen=True)
class Pictures:
    """N pictures (N, H, H, C) uint8, C being 1 or 3; where each was found; its label, or None where there are none."""

    pixels: np.ndarray
    places: list[str]
    labels: list[str] | None


def files_of(patterns: str | list[str]) -> list[Path]:
    """The files of globs and folders; of a folder and those in it the pictures. Raises ConfigError and InputError."""
    patterns = [patterns] if isinstance(patterns, str) else patterns
    found: list[Path] = []
    for pattern in patterns or [""]:
        place = os.path.expanduser(pattern)
        if not os.path.isdir(place):
            found += find_files(pattern)
            continue
        inside = sorted(glob.glob(os.path.join(glob.escape(place), "**", "*"), recursive=True))
        pictures = [Path(path) for path in inside if path.lower().endswith(ENDINGS) and os.path.isfile(path)]
        if not pictures:
            raise InputError(f"prepare.files: the folder {pattern} holds no picture ({', '.join(ENDINGS)})")
        found += pictures
    return list({os.path.realpath(path): path for path in found}.values())


def read(settings: Prepare, progress: Progress) -> Pictures:
    """The pictures of the section `prepare`, all of one size and colour. Raises InputError and ConfigError."""
    return read_files(files_of(settings.files), settings, progress)


def read_files(paths: list[Path], settings: Prepare, progress: Progress) -> Pictures:
    """The same of other files."""
    kinds = {path: _kind(path, settings.format) for path in paths}
    folders = _folder_labels(paths, kinds, settings)
    pixels: list[np.ndarray] = []
    places: list[str] = []
    labels: list[str | None] = []
    for path in paths:
        found: Iterator[tuple[str, np.ndarray, str | None]]
        if kinds[path] == "pictures":
            found = iter([(str(path), _picture(path, settings), folders.get(path))])
        elif kinds[path] == "csv":
            found = _csv(path, settings)
        else:
            array = idx(path) if kinds[path] == "idx" else _npy(path)
            found = ((f"{path}, picture {number}", one, None) for number, one in enumerate(_stack(array, path), 1))
        for place, picture, label in found:
            fitted = _fit(picture, place, settings, pixels, places)
            pixels.append(fitted)
            places.append(place)
            labels.append(label)
            if len(pixels) % REPORT_PICTURES == 0:
                progress("reading pictures", len(pixels), None)
    if not pixels:
        raise InputError(f"there is no picture in {', '.join(map(str, paths[:3]))}; name other files in prepare.files")
    return Pictures(np.stack(pixels), places, _labels(labels, places, settings))


def label_files(settings: Prepare) -> list[Path]:
    """The files of `prepare.labels`."""
    return find_files(settings.labels) if settings.labels else []


def idx(path: Path) -> np.ndarray:
    """The array of an IDX file of bytes, as MNIST has them. Raises InputError."""
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or not 1 <= data[3] <= 4:
        raise InputError(f"{path} is no IDX file (its first bytes are {data[:4].hex(' ')}); name its prepare.format")
    if data[2] != 8:
        raise InputError(f"{path}: an IDX file of type {data[2]:#x}; only bytes (0x8) are read")
    rank, start = data[3], 4 + 4 * data[3]
    if len(data) < start:
        raise InputError(f"{path} is cut off in its head; copy it anew")
    shape = struct.unpack(f">{rank}I", data[4:start])
    expected = start + math.prod(shape)
    if len(data) != expected:
        state = "is cut off" if len(data) < expected else "has more bytes than its head says"
        raise InputError(f"{path} {state}: {len(data):,} bytes, {expected:,} with shape {shape}; copy it anew")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _kind(path: Path, format: str) -> str:
    if format != "auto":
        return format
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(ENDINGS) and not path.name.lower().endswith(".gz"):
        return "pictures"
    for ending, kind in ((".npy", "npy"), (".csv", "csv"), (".idx", "idx"), ("-ubyte", "idx")):
        if name.endswith(ending):
            return kind
    raise InputError(
        f"{path}: its ending is none of {', '.join(ENDINGS)}, .idx, -ubyte, .npy, .csv; leave it out of prepare.files "
        "or say what it is in prepare.format"
    )


# --- pictures in files of their own -------------------------------------------------------------------------------


def _picture(path: Path, settings: Prepare) -> np.ndarray:
    """One picture (H, W, C) uint8. Raises InputError where it is damaged or too large to be one."""
    from PIL import Image, UnidentifiedImageError

    with open_file(path) as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                picture = Image.open(file, formats=DECODED)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise InputError(f"{path}: more than the {MOST_PIXELS:,} pixels that are read; scale it down") from error
        except UnidentifiedImageError as error:
            raise InputError(f"{path} is no picture that can be read; mend it or leave it out") from error
        except Exception as error:  # decoders raise what they like, and so below
            raise InputError(
                f"{path} is no picture that can be read ({_said(error)}); mend it or leave it out"
            ) from error
        width, height = picture.size
        if width * height > MOST_PIXELS:
            raise InputError(
                f"{path}: {width:,} × {height:,} pixels, more than the {MOST_PIXELS:,} that are read; scale it down"
            )
        if not settings.resize and width != height:  # what else does not fit is seen beside the others
            raise InputError(_unfit(str(path), (height, width)))
        try:
            pixels = _decoded(picture, settings)
        except Exception as error:
            raise InputError(f"{path} is damaged ({_said(error)}); mend it or leave it out") from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _decoded(picture: Any, settings: Prepare) -> np.ndarray:
    """The pixels (H, W) or (H, W, 3) uint8 of a pillow picture; what is transparent is white."""
    from PIL import Image

    picture.load()
    grey = picture.mode in ("1", "L", "LA", "F") or picture.mode.startswith("I")
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        over = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    elif picture.mode.startswith("I"):  # 16 bits
        picture = Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if settings.colour != "auto":
        grey = settings.colour == "grey"
    return np.asarray(picture.convert("L" if grey else "RGB"))


def _said(error: Exception) -> str:
    return str(error).partition("\n")[0][:120] or type(error).__name__


def _folder_labels(paths: list[Path], kinds: dict[Path, str], settings: Prepare) -> dict[Path, str | None]:
    """The folder's name of each picture file, where folders are labels."""
    pictures = [path for path in paths if kinds[path] == "pictures"]
    several = len({path.resolve().parent for path in pictures}) > 1
    if settings.labels or not (settings.label == "folder" or (settings.label == "auto" and several)):
        return {}
    return {path: path.resolve().parent.name for path in pictures}


# --- arrays ---------------------------------------------------------------------------------------------------


def _npy(path: Path) -> np.ndarray:
    """The array of an NPY file. Its head is checked against its length before anything is made of it."""
    data = read_bytes(path)
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = head(file)
    except Exception as error:
        raise InputError(f"{path} is no NPY file ({_said(error)}); name its prepare.format") from error
    if kind.hasobject or kind.kind not in "uifb":
        raise InputError(f"{path}: an array of {kind}; numbers are needed")
    left, needed = len(data) - file.tell(), math.prod(shape) * kind.itemsize
    if left != needed:
        raise InputError(f"{path}: shape {shape} of {kind} needs {needed:,} bytes, it has {left:,}; copy it anew")
    return np.frombuffer(data, kind, offset=file.tell()).reshape(shape, order="F" if fortran else "C")


def _stack(array: np.ndarray, path: Path) -> np.ndarray:
    """Pictures (N, H, W, C) uint8 of an array (N, H, W), (N, H, W, C) or (N, C, H, W)."""
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim == 4 and array.shape[3] not in (1, 3) and array.shape[1] in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        raise InputError(f"{path}: shape {array.shape}; pictures are (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)")
    return _bytes(array, lambda number: f"{path}, picture {number + 1}")


def _bytes(values: np.ndarray, place: Callable[[int], str]) -> np.ndarray:
    """Pixels as uint8: numbers from 0 to 255, or fractions from 0 to 1 where no number is above 1.

    `place(n)` says where the n-th picture was found. Raises InputError.
    """
    if values.dtype == np.uint8:
        return values
    rows = values.reshape(len(values), -1).astype(np.float32)
    wrong = np.argwhere(~np.isfinite(rows))
    if len(wrong):
        raise InputError(f"{place(int(wrong[0, 0]))}: a pixel is {rows[tuple(wrong[0])]}; mend the file")
    wrong = np.argwhere((rows < 0) | (rows > 255))
    if len(wrong):
        raise InputError(
            f"{place(int(wrong[0, 0]))}: a pixel is {rows[tuple(wrong[0])]:g}; pixels are from 0 to 255, or from 0 to 1"
        )
    fractions = values.dtype.kind == "f" and rows.max(initial=0) <= 1 and (rows % 1 != 0).any()
    return np.rint(rows * 255 if fractions else rows).astype(np.uint8).reshape(values.shape)


def _csv(path: Path, settings: Prepare) -> Iterator[tuple[str, np.ndarray, str | None]]:
    """(place, picture, label) of each row of a CSV file of pixels, with or without a header."""
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
    column = _label_column(head, has_head, settings, path)
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
    shape = _shape(len(rows[0]), f"{path}, line {numbered[0][0]}", settings)
    pixels = _bytes(np.stack(rows), lambda number: places[number]).reshape(-1, *shape)
    yield from zip(places, pixels, labels, strict=True)


def _label_column(head: list[str], has_head: bool, settings: Prepare, path: Path) -> int | None:
    if settings.label in ("first", "last"):
        return 0 if settings.label == "first" else len(head) - 1
    named = [head.index(name) for name in LABEL_COLUMNS if has_head and name in head]
    if settings.label == "auto" and named:
        return named[0]
    side = _side(len(head) - 1)
    if settings.label == "auto" and _side(len(head)) is None and side and (side[0] in SIZES or settings.resize):
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


def _shape(count: int, place: str, settings: Prepare) -> tuple[int, int, int]:
    found = _side(count)
    if found is None or (found[0] not in SIZES and not settings.resize):
        wanted = ", ".join(f"{edge * edge * channels:,}" for edge in SIZES for channels in (1, 3))
        raise InputError(f"{place}: {count:,} pixels are no picture of 28×28 or 32×32, grey or colour ({wanted})")
    return found[0], found[0], found[1]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- one size, one colour, labels ---------------------------------------------------------------------------------


def _fit(picture: np.ndarray, place: str, settings: Prepare, before: list[np.ndarray], places: list[str]) -> np.ndarray:
    """The picture in the size and colour of those before it, as the settings say. Raises InputError."""
    from PIL import Image, ImageOps

    channels = {"grey": 1, "rgb": 3, "auto": before[0].shape[2] if before else picture.shape[2]}[settings.colour]
    if picture.shape[2] != channels:
        if settings.colour == "auto":
            first, this = ("grey", "coloured") if channels == 1 else ("coloured", "grey")
            raise InputError(
                f"{place} is {this}, {places[0]} is {first}; set prepare.colour=grey or rgb, or leave one kind out"
            )
        one = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
        picture = np.asarray(one.convert("L" if channels == 1 else "RGB")).reshape(*picture.shape[:2], channels)
    edge = settings.size or (len(before[0]) if before else len(picture))
    if picture.shape[:2] == (edge, edge) and edge in SIZES:
        return picture
    if not settings.resize:
        raise InputError(_unfit(place, picture.shape[:2], edge if edge in SIZES else None))
    one = Image.fromarray(picture[..., 0] if channels == 1 else picture)
    fitted = ImageOps.fit(one, (edge, edge), Image.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(edge, edge, channels)


def _unfit(place: str, shape: tuple[int, ...], edge: int | None = None) -> str:
    wanted = f"{edge}×{edge} as the first one or as prepare.size says" if edge else "28×28 or 32×32"
    return (
        f"{place}: {shape[1]}×{shape[0]} pixels, not {wanted}; to scale and crop pictures, set prepare.size=28 (or 32) "
        "and prepare.resize=true"
    )


def _labels(found: list[str | None], places: list[str], settings: Prepare) -> list[str] | None:
    """The label of each picture, from its place or from the files of `prepare.labels`."""
    if settings.labels:
        arrays = []
        for path in label_files(settings):
            array = idx(path) if _kind(path, "auto") == "idx" else _npy(path)
            if array.ndim != 1:
                raise InputError(f"{path}: labels are one number for each picture, not an array of shape {array.shape}")
            arrays.append(array)
        numbers: list[Any] = np.concatenate(arrays).tolist()
        if len(numbers) != len(places):
            raise InputError(f"prepare.labels has {len(numbers):,} labels for {len(places):,} pictures")
        return [str(int(number)) if float(number).is_integer() else str(number) for number in numbers]
    if settings.label == "none" or all(label is None for label in found):
        if settings.label not in ("none", "auto"):
            raise ConfigError(f"prepare.label: {settings.label}: these files have no such labels; set it to none")
        return None
    for label, place in zip(found, places, strict=True):
        if not label:
            raise InputError(f"{place} has no label, others have; name pictures of one kind in prepare.files")
    return [label or "" for label in found]
