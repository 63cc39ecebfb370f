"""Raw values to typed ones: what is text, a number, missing, and rows that do not fit."""

import numpy as np
import pytest

from llmkit.data.columns import as_text, is_number, parse
from llmkit.errors import InputError

MISSING = ["", "?"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), ("", None), (" ? ", None), (" a ", "a"), (True, "true"), (1.0, "1"), (2.5, "2.5"), (3, "3")],
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
        parse(rows, ["row 1", "row 2"][: len(rows)], ["a"], ["b"], MISSING)


def test_an_empty_value_and_null_are_missing_ones():
    found = parse([{"a": "1", "b": "x"}, {"a": "", "b": None}], ["row 1", "row 2"], ["a"], ["b"], MISSING)
    assert found.numbers[0, 0] == 1 and np.isnan(found.numbers[1, 0])
    assert found.categories[:, 0].tolist() == ["x", None]
