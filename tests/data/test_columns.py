"""Raw values to typed ones: what is text, a number, missing, and rows that do not fit."""

import datetime
from collections import UserDict

import numpy as np
import pytest

from llmkit.data.columns import Column, as_text, is_number, missing_texts, parse
from llmkit.data.date_format import DateFormat
from llmkit.data.number_format import NumberFormat
from llmkit.errors import InputError

MISSING = ["", "?"]
COLUMNS = [Column("a", "number"), Column("b", "category")]


class NAType:
    """What pandas calls its missing value."""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(None, None), ("", None), (" ? ", None), (" a ", "a"), (True, "true"), (1.0, "1"), (2.5, "2.5"), (3, "3")],
        *[("TRUE", "true"), ("False", "false"), ("3.0", "3"), ("3.", "3"), ("-3.00", "-3"), ("03.0", "03.0")],
        *[(np.int64(3), "3"), (np.float32(2.5), "2.5"), (np.bool_(True), "true"), (np.str_("a"), "a")],
        *[(datetime.date(2024, 3, 1), "2024-03-01"), (datetime.datetime(2024, 3, 1, 12), "2024-03-01T12:00:00")],
        *[(NAType(), None), (np.float64("nan"), None)],
    ],
)
def test_values_as_text(value, text):
    assert as_text(value, MISSING, "row 1", "x") == text
    assert as_text(float("nan"), MISSING, "row 1", "x") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", True), ("-1.5e3", True), ("1_000", False), ("nan", False), ("inf", False), ("1,5", False), ("x", False)],
)
def test_what_is_a_number(text, number):
    assert is_number(text) == number


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": "1"}], "row 1: the column 'b' is not there"),
        ([{"a": "1", "b": "x"}, {"a": ""}], "row 2: the column 'b' is not there"),
        ([{"a": "one", "b": "x"}], "row 1, column 'a': 'one' is no number"),
        ([{"a": "1", "b": "x"}, {"a": "1e999", "b": ""}], "row 2, column 'a': '1e999' is no number"),
        ([{"a": [1], "b": "x"}], "row 1, column 'a': a list is no value of a table"),
        (["a"], "row 1: a row is an object of columns and values, not str"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows, message):
    with pytest.raises(InputError, match=message):
        parse(rows, ["row 1", "row 2"][: len(rows)], COLUMNS, MISSING)


def test_an_empty_value_and_null_are_missing_ones():
    found = parse([{"a": "1", "b": "x"}, {"a": "", "b": None}], ["row 1", "row 2"], COLUMNS, MISSING)
    assert found.numbers[0, 0] == 1 and np.isnan(found.numbers[1, 0])
    assert found.categories[:, 0].tolist() == ["x", None]


def test_what_is_missing_is_so_in_every_spelling():
    missing = missing_texts([-999, "?"])
    for value in (-999, -999.0, "-999", "-999.0", " ? "):
        assert as_text(value, missing, "row 1", "x") is None
    assert as_text(-99, missing, "row 1", "x") == "-99"


def test_any_mapping_is_a_row():
    found = parse([UserDict(a=np.float32(1.5), b="x")], ["row 1"], COLUMNS, MISSING)
    assert (found.numbers[0, 0], found.categories[0, 0]) == (1.5, "x")


def test_numbers_are_read_by_the_format_of_their_column():
    column = Column("price", "number", NumberFormat(",", ".", "€"))
    rows = [{"price": "1.234,50 €"}, {"price": 1234.5}, {"price": True}, {"price": "?"}]
    found = parse(rows, ["row"] * 4, [column], MISSING).numbers[:, 0]
    assert found[:3].tolist() == [1234.5, 1234.5, 1.0] and np.isnan(found[3])
    message = "column 'price': '1234.50' is no number as the others are .decimal comma, points between thousands, in €"
    with pytest.raises(InputError, match=message):
        parse([{"price": "1234.50"}], ["row"], [column], MISSING)


def test_a_date_becomes_numbers_and_categories():
    """1 March 2024 was a Friday, 19,783 days after 1970 began."""
    column = Column("when", "date", DateFormat("day", time=True))
    assert column.numbers == ["when, days", "when, day of month"]
    assert column.categories == ["when, weekday", "when, month", "when, hour"]
    rows = [{"when": "01.03.2024 06:00"}, {"when": "2024-03-01T06:00:00"}, {"when": ""}]
    found = parse(rows, ["row"] * 3, [column], MISSING)
    assert found.numbers[:2].tolist() == [[19783.25, 1.0]] * 2 and np.isnan(found.numbers[2]).all()
    assert found.categories.tolist() == [["5", "3", "6"]] * 2 + [[None] * 3]
    with pytest.raises(InputError, match=r"row, column 'when': '2024' is no date as the others are \(day first, with"):
        parse([{"when": "2024"}], ["row"], [column], MISSING)
