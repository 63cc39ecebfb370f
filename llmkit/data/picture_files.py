"""Files of one picture each: PNG, JPEG, GIF, BMP, WebP, TIFF, PNM. Imports pillow late.

In: a path. Out: the picture (H, W, C) uint8, upright as its EXIF data says; of an animation the first frame. What is
transparent is white or, where what is drawn is itself nearly white, black. Its size is looked at before anything is
decoded, so a tiny file that would unpack to gigabytes is refused for what it says of itself.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmkit.data.files import open_file
from llmkit.data.picture_sizes import SIZES, unfit
from llmkit.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".webp"),
    *(".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"),
)
DECODED = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # by these decoders alone
NEARLY_WHITE = 230  # mean brightness of what is drawn, from which on it would vanish on white
DEEP = "I"  # what the modes of more than 8 bits begin with
EXIF_ORIENTATION = 0x0112
MOST_PIXELS = 1 << 24  # of a picture file: 4096 × 4096


Tell = Callable[[str], None]
"""Gets what was done to a picture, in words that follow on "5 pictures"."""


def read_picture(
    path: Path,
    colour: str,
    resize: bool,
    bits: int = 16,
    tell: Tell = lambda what: None,
    sizes: Sequence[int] = SIZES,
) -> np.ndarray:
    """One picture (H, W, C) uint8, C being 1 or 3: as `colour` (grey, rgb, auto) says.

    `bits`: how many the values of a picture of more than 8 have (`bits_of`); `sizes`: edges that are read.

    Raises InputError where it is damaged or too large to be one, and where it is no square, unless `resize` is to make
    it one.
    """
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
                f"{path} is no picture that can be read ({said(error)}); mend it or leave it out"
            ) from error
        width, height = picture.size
        if width * height > MOST_PIXELS:
            raise InputError(
                f"{path}: {width:,} × {height:,} pixels, more than the {MOST_PIXELS:,} that are read; scale it down"
            )
        if not resize and width != height:  # what else does not fit is seen beside the others
            raise InputError(unfit(str(path), (height, width), sizes=sizes))
        try:
            pixels = _decoded(picture, colour, bits, tell)
        except Exception as error:
            raise InputError(f"{path} is damaged ({said(error)}); mend it or leave it out") from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


def deepest(paths: Iterable[Path]) -> int:
    """The largest value in those of the pictures that have more than 8 bits; 0 where none has."""
    from PIL import Image

    largest = 0
    for path in paths:
        try:
            with Image.open(path, formats=DECODED) as picture:
                if picture.mode.startswith(DEEP) and picture.size[0] * picture.size[1] <= MOST_PIXELS:
                    largest = max(largest, int(np.asarray(picture).max()))
        except Exception:  # whoever reads it says what is wrong
            continue
    return largest


def bits_of(largest: int) -> int:
    """How many bits values have of which this is the largest: 8, 10, 12, 14 or 16."""
    return next(bits for bits in (8, 10, 12, 14, 16) if largest < 1 << bits or bits == 16)


def _decoded(picture: "Image.Image", colour: str, bits: int, tell: Tell) -> np.ndarray:
    """The pixels (H, W) or (H, W, 3) uint8 of a pillow picture."""
    from PIL import Image, ImageOps

    if getattr(picture, "n_frames", 1) > 1:
        tell("are animated or have several pages: the first is taken")
    picture.load()
    if picture.getexif().get(EXIF_ORIENTATION, 1) != 1:
        tell("are turned upright as their EXIF data says")
        picture = ImageOps.exif_transpose(picture)
    grey = picture.mode in ("1", "L", "LA", "F") or picture.mode.startswith(DEEP)
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        picture = _opaque(picture.convert("RGBA"), tell)
    elif picture.mode.startswith(DEEP):
        values = np.asarray(picture).astype(np.uint32) >> (bits - 8)
        picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if colour != "auto":
        grey = colour == "grey"
    return np.asarray(picture.convert("L" if grey else "RGB"))


def _opaque(picture: "Image.Image", tell: Tell) -> "Image.Image":
    """An RGBA picture over white or, where what is drawn is nearly white, over black."""
    from PIL import Image

    drawn = np.asarray(picture.getchannel("A")).astype(np.float64)
    if not drawn.min() < 255:
        return picture
    brightness = (np.asarray(picture.convert("L")) * drawn).sum() / max(drawn.sum(), 1.0)
    under = "black" if drawn.sum() and brightness > NEARLY_WHITE else "white"
    tell(f"are transparent: put on {under}")
    return Image.alpha_composite(Image.new("RGBA", picture.size, under), picture)


def said(error: Exception) -> str:
    """The first line of what another library's error says, or the error's kind."""
    return str(error).partition("\n")[0][:120] or type(error).__name__
