"""Pictures to one size and one colour: those that fit are left alone, others are refused or scaled and converted.

In: pictures (H, W, C) uint8, one after the other. Out: each in the size and colour of the first one or of the settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmkit.errors import InputError

SIZES = (28, 32)  # edges in pixels that are usual


@dataclass(frozen=True)
class Shape:
    """What all pictures are to be: `size`, their edge in pixels, None for that of the first one; `resize`: others are
    scaled and cropped, not refused; `colour`: grey, rgb or, for what the first one is, auto; `sizes`: edges that are
    read."""

    size: int | None = None
    resize: bool = False
    colour: str = "auto"
    sizes: Sequence[int] = SIZES


def fit(picture: np.ndarray, place: str, shape: Shape, first: np.ndarray | None, first_place: str) -> np.ndarray:
    """The picture (H, W, C) as (H', H', C'), in size and colour of the `first` one or as `shape` says.

    `first` is None for the first one itself. Raises InputError where it does not fit.
    """
    from PIL import Image, ImageOps

    usual = picture.shape[2] if first is None else first.shape[2]
    channels = {"grey": 1, "rgb": 3, "auto": usual}[shape.colour]
    if picture.shape[2] != channels:
        if shape.colour == "auto":
            wanted, this = ("grey", "coloured") if channels == 1 else ("coloured", "grey")
            raise InputError(
                f"{place} is {this}, {first_place} is {wanted}; set prepare.colour=grey or rgb, or leave one kind out"
            )
        one = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
        picture = np.asarray(one.convert("L" if channels == 1 else "RGB")).reshape(*picture.shape[:2], channels)
    edge = shape.size or len(picture if first is None else first)
    if picture.shape[:2] == (edge, edge) and edge in shape.sizes:
        return picture
    if not shape.resize:
        raise InputError(unfit(place, picture.shape[:2], edge if edge in shape.sizes else None, shape.sizes))
    one = Image.fromarray(picture[..., 0] if channels == 1 else picture)
    fitted = ImageOps.fit(one, (edge, edge), Image.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(edge, edge, channels)


def unfit(place: str, shape: tuple[int, ...], edge: int | None = None, sizes: Sequence[int] = SIZES) -> str:
    """The message for a picture of `shape` (H, W) that is not edge × edge pixels or, without `edge`, of a size read."""
    wanted = f"{edge}×{edge} as the first one or as prepare.size says" if edge else named(sizes)
    others = f"(or {sizes[1]})" if len(sizes) == 2 else f"(or another one from {sizes[0]} to {sizes[-1]})"
    return (
        f"{place}: {shape[1]}×{shape[0]} pixels, not {wanted}; to scale and crop pictures, set prepare.size=28 {others}"
        " and prepare.resize=true"
    )


def named(sizes: Sequence[int]) -> str:
    """The sizes that are read, in words."""
    between = " or " if len(sizes) == 2 else " to "
    return f"{sizes[0]}×{sizes[0]}{between}{sizes[-1]}×{sizes[-1]}"
