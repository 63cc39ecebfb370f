"""Files of one picture each: PNG, JPEG, GIF, BMP, WebP. Imports pillow late.

In: a path. Out: the picture (H, W, C) uint8, what is transparent being white. Its size is looked at before anything is
decoded, so a tiny file that would unpack to gigabytes is refused for what it says of itself.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmkit.data.files import open_file
from llmkit.data.picture_sizes import unfit
from llmkit.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
DECODED = ("PNG", "JPEG", "GIF", "BMP", "WEBP")  # by these decoders alone
MOST_PIXELS = 1 << 24  # of a picture file: 4096 × 4096


def read_picture(path: Path, colour: str, resize: bool) -> np.ndarray:
    """One picture (H, W, C) uint8, C being 1 or 3: as `colour` (grey, rgb, auto) says.

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
            raise InputError(unfit(str(path), (height, width)))
        try:
            pixels = _decoded(picture, colour)
        except Exception as error:
            raise InputError(f"{path} is damaged ({said(error)}); mend it or leave it out") from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _decoded(picture: "Image.Image", colour: str) -> np.ndarray:
    """The pixels (H, W) or (H, W, 3) uint8 of a pillow picture; what is transparent is white."""
    from PIL import Image

    picture.load()
    grey = picture.mode in ("1", "L", "LA", "F") or picture.mode.startswith("I")
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        over = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    elif picture.mode.startswith("I"):  # 16 bits
        picture = Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if colour != "auto":
        grey = colour == "grey"
    return np.asarray(picture.convert("L" if grey else "RGB"))


def said(error: Exception) -> str:
    """The first line of what another library's error says, or the error's kind."""
    return str(error).partition("\n")[0][:120] or type(error).__name__
