"""picture_sizes.py: pictures that fit are left alone; others are refused, or scaled, cropped and converted."""

import numpy as np
import pytest
from small_pictures import squares

from llmkit.data.picture_sizes import Shape, fit, unfit
from llmkit.errors import InputError

[FIRST, OTHER], _ = squares(2, colours=3)
WIDE = np.zeros((50, 90, 3), np.uint8)
WIDE[:, 20:70] = (200, 100, 50)  # its middle


def test_pictures_that_fit_are_left_alone():
    assert fit(FIRST, "a", Shape(), None, "a") is FIRST
    assert fit(OTHER, "b", Shape(size=28, colour="rgb", resize=True), FIRST, "a") is OTHER


def test_the_middle_is_cropped_and_scaled():
    found = fit(WIDE, "wide", Shape(size=32, resize=True), FIRST, "a")
    assert found.shape == (32, 32, 3) and (found[:, 2:-2] == (200, 100, 50)).all()  # what is beside it shines in
    assert fit(WIDE, "wide", Shape(resize=True), FIRST, "a").shape == (28, 28, 3)  # as the first one
    grey = fit(WIDE[..., :1], "wide", Shape(size=28, resize=True), None, "wide")
    assert grey.shape == (28, 28, 1) and (np.abs(grey[:, 2:-2].astype(int) - 200) <= 1).all()


def test_colours_are_converted_where_one_is_wanted():
    grey = fit(WIDE[:, 20:70], "a", Shape(size=28, resize=True, colour="grey"), None, "a")
    assert grey.shape == (28, 28, 1) and (grey == 124).all()  # 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    rgb = fit(FIRST[..., :1], "b", Shape(colour="rgb"), OTHER, "a")
    assert rgb.shape == (28, 28, 3) and (rgb == FIRST[..., :1]).all()


def test_one_kind_among_the_other_is_refused():
    with pytest.raises(
        InputError, match="^b is coloured, a is grey; set prepare.colour=grey or rgb, or leave one kind"
    ):
        fit(OTHER, "b", Shape(), FIRST[..., :1], "a")
    with pytest.raises(InputError, match="^b is grey, a is coloured; set prepare.colour=grey or rgb"):
        fit(OTHER[..., :1], "b", Shape(), FIRST, "a")


@pytest.mark.parametrize(
    ("picture", "shape", "first", "message"),
    [
        (
            WIDE,
            Shape(),
            None,
            "b: 90×50 pixels, not 28×28 or 32×32; to scale and crop pictures, set prepare.size=28 (o",
        ),
        (WIDE, Shape(), FIRST, "b: 90×50 pixels, not 28×28 as the first one or as prepare.size says; to scale and cr"),
        (FIRST, Shape(size=32), None, "b: 28×28 pixels, not 32×32 as the first one or as prepare.size says"),
        (np.zeros((40, 40, 1), np.uint8), Shape(), None, "b: 40×40 pixels, not 28×28 or 32×32; to scale"),
    ],
)
def test_other_sizes_are_refused(picture, shape, first, message):
    with pytest.raises(InputError) as caught:
        fit(picture, "b", shape, first, "a")
    assert str(caught.value).startswith(message)


def test_the_message_names_width_before_height():
    assert unfit("a", (1, 2, 3)).startswith("a: 2×1 pixels, not 28×28 or 32×32; ")
    assert unfit("a", (1, 2), 32).startswith("a: 2×1 pixels, not 32×32 as the first one")
