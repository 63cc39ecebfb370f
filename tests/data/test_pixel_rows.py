"""pixel_rows.py: rows of pixels with a label or without; rows that hold no picture are named by file and line."""

import gzip

import numpy as np
import pytest
from small_pictures import csv_text, squares

from llmkit.data.pixel_rows import read_pixel_rows
from llmkit.errors import InputError

PIXELS, LABELS = squares(3, colours=3)
GREY = PIXELS[..., :1]


@pytest.fixture
def read(tmp_path):
    """(places, pictures (N, H, H, C), labels) of a file's text."""

    def read(text, label="auto", resize=False, name="rows.csv"):
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(data)
        rows = list(read_pixel_rows(tmp_path / name, label, resize))
        places, pixels, labels = zip(*rows, strict=True) if rows else ((), (), ())
        return [place.removeprefix(f"{tmp_path}/") for place in places], np.array(pixels), list(labels)

    return read


@pytest.mark.parametrize("pixels", [GREY, PIXELS], ids=["grey", "coloured"])
@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("head", [False, True])
def test_rows_of_pixels_and_their_labels(read, pixels, where, head):
    places, found, labels = read(csv_text(pixels, LABELS, where, head), "auto" if head else where)
    assert found.dtype == np.uint8 and found.shape == pixels.shape and (found == pixels).all()
    assert labels == LABELS
    assert places == [f"rows.csv, line {number + head}" for number in (1, 2, 3)]


def test_rows_without_labels(read):
    text = csv_text(GREY)
    for label in ("auto", "none"):
        places, found, labels = read("\n" + text.replace("\n", "\n\n"), label)
        assert labels == [None] * 3 and (found == GREY).all()
        assert places == [f"rows.csv, line {number}" for number in (2, 4, 6)]  # empty lines are no rows
    assert read(csv_text(GREY, head=True))[2] == [None] * 3
    assert read("")[0] == read(csv_text(GREY, head=True).partition("\n")[0])[0] == []


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_quotes_and_a_gzip(read, separator):
    text = (
        csv_text(GREY, ['"left"', " right ", "left"], "first", head=True).replace(",", separator).replace("\n", "\r\n")
    )
    _, found, labels = read(gzip.compress(("\ufeff" + text).encode()), name="rows.csv.gz")
    assert labels == ["left", "right", "left"] and (found == GREY).all()


def test_fractions_and_sizes_to_be_scaled(read):
    fractions = (GREY / 255).astype(np.float64)
    assert (read(csv_text(fractions))[1] == GREY).all()
    small = np.arange(12).reshape(1, 2, 2, 3)
    with pytest.raises(InputError, match="line 1: 12 pixels are no picture of 28×28 or 32×32"):
        read(csv_text(small))
    assert (read(csv_text(small), resize=True)[1] == small).all()


def test_whether_a_column_too_many_is_a_label_has_to_be_said(read):
    text = csv_text(GREY, ["1", "2", "1"])
    with pytest.raises(
        InputError, match="785 columns are 784 pixels and a label; say where it is: prepare.label=first"
    ):
        read(text)
    with pytest.raises(InputError, match="line 1: 785 pixels are no picture"):
        read(text, "none")
    assert read(text, "last")[2] == ["1", "2", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (csv_text(GREY)[:-4], "rows.csv, line 3: 78[23] columns where the first line has 784$"),
        (
            "1,2,3,4,5\n",
            r"rows.csv, line 1: 5 pixels are no picture of 28×28 or 32×32, grey or colour \(784, 2,352, 1,",
        ),
        (
            csv_text(GREY).replace("0,0", "0,x", 1),
            "rows.csv, line 1: 'x' is no pixel; pixels are numbers from 0 to 255",
        ),
        (csv_text(GREY, head=True).replace("0,0", "0,999", 1), "rows.csv, line 2: a pixel is 999; pixels are from 0"),
        (csv_text(GREY).replace("0,0", "0,nan", 1), "rows.csv, line 1: a pixel is nan; mend the file"),
        (csv_text(GREY).encode() + b"\xff", r"rows.csv is not UTF-8 text at byte [\d,]+; is it a CSV file\?"),
    ],
    ids=["short", "few", "word", "bright", "nan", "bytes"],
)
def test_rows_that_hold_no_picture(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)
