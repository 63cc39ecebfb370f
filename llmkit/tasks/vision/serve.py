"""`/v1/predict` for pictures: PNG, JPEG and others in base64, or arrays, in; labels with probabilities out."""

import base64
import binascii
import io
from typing import Any

import numpy as np

from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.predicting.use import Classifier

ROUTE, ANSWERS = "predict", "predictions"
MOST_PIXELS = 50_000_000
OPTIONS: Json = {}


def schema(model: Classifier[Any]) -> Json:
    """A picture."""
    return {
        "description": "A picture: a PNG or JPEG file in base64, or its pixels (H, W) or (H, W, 3), 0 to 255.",
        "anyOf": [{"type": "string", "contentEncoding": "base64"}, {"type": "array"}],
    }


def request(model: Classifier[Any], given: Any) -> Any:
    """A picture's pixels. Never the name of a file: that would read what lies on the server. Raises InputError."""
    if isinstance(given, str):
        return _opened(given)
    try:
        pixels = np.array(given)
    except ValueError as error:
        raise InputError("the pixels are no array: all rows are equally long") from error
    if pixels.dtype.kind not in "iuf" or pixels.ndim not in (2, 3) or not np.isfinite(pixels).all():
        raise InputError("a picture is a file in base64, or its pixels (H, W) or (H, W, 3) as nested lists of numbers")
    if pixels.min() < 0 or pixels.max() > 255:
        raise InputError("pixels are numbers from 0 to 255")
    pixels = pixels.astype(np.uint8)
    model.read([pixels])
    return pixels


def answer(model: Classifier[Any], requests: list[Any], options: Json) -> list[Json]:
    """A prediction for each picture."""
    return model.predict(requests)


def _opened(text: str) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        data = base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF"]) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise InputError(f"the picture has more than {MOST_PIXELS:,} pixels; make it smaller")
            upright = ImageOps.exif_transpose(picture)
            return np.asarray(upright.convert("L" if upright.mode in ("1", "L", "I", "I;16", "F") else "RGB"))
    except binascii.Error as error:
        raise InputError("the picture is not base64") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError("the picture cannot be read; send a PNG or JPEG file in base64") from error
