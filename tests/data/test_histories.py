"""Tables to series: each form, gaps, order, copies and what is refused."""

import numpy as np
import pytest

from llmkit.data.histories import Columns, of_rows
from llmkit.errors import InputError


def read(rows, warn=pytest.fail, **columns):
    return of_rows(rows, [f"x.csv, line {n}" for n in range(2, len(rows) + 2)], Columns(**columns), warn)


def hours(*pairs):
    return [{"time": f"2024-03-01T{hour:02}:00", "value": str(value)} for hour, value in pairs]


def test_a_long_table_of_several_series():
    rows = [{"shop": s, "date": f"2024-01-0{d}", "sales": f"{d}{k}"} for k, s in enumerate("ab") for d in (1, 2, 3)]
    first, second = read(rows)
    assert (first.name, second.name, first.step) == ("a", "b", 86400.0)
    assert first.values.tolist() == [10, 20, 30] and second.values.tolist() == [11, 21, 31]


def test_a_column_for_each_series():
    rows = [{"date": f"2024-01-0{d}", "north": str(d), "south": str(10 * d)} for d in (1, 2, 3)]
    assert [(h.name, h.values.tolist()) for h in read(rows)] == [("north", [1, 2, 3]), ("south", [10, 20, 30])]


def test_a_row_for_each_series_of_its_own_length():
    rows = [{"V1": "H1", "V2": "5", "V3": "7"}, {"V1": "H2", "V2": "6", "V3": ""}]
    assert [(h.name, h.values.tolist()) for h in read(rows)] == [("H1", [5, 7]), ("H2", [6])]


def test_times_out_of_order_are_sorted_and_said():
    said = []
    [history] = read(hours((2, 3), (0, 1), (1, 2)), said.append)
    assert history.values.tolist() == [1, 2, 3]
    assert "out of order" in said[0]


def test_a_gap_is_named_by_its_first_moment():
    with pytest.raises(InputError, match=r"gap after '2024-03-01T01:00' \(x\.csv, line 3\): 1 times"):
        read(hours((0, 1), (1, 2), (3, 4), (4, 5)))


@pytest.mark.parametrize(("gaps", "filled"), [("zero", 0.0), ("carry", 2.0), ("missing", np.nan)])
def test_a_gap_is_filled_as_said(gaps, filled):
    [history] = read(hours((0, 1), (1, 2), (3, 4), (4, 5)), lambda line: None, gaps=gaps)
    np.testing.assert_array_equal(history.values, [1, 2, filled, 4, 5])


def test_rows_may_be_a_step_apart_whatever_their_times():
    rows = [{"Date": f"2024-03-0{d}", "value": str(d)} for d in (1, 4, 5, 6)]
    assert read(rows, evenly=True)[0].values.tolist() == [1, 4, 5, 6]


def test_months_are_a_step_though_not_of_equal_length():
    rows = [{"month": f"2024-{m:02}-01", "value": str(m)} for m in range(1, 8)]
    assert read(rows)[0].values.tolist() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "there are no rows"),
        (hours((0, 1), (0, 2)), r"line 3: 'value' has a second row for the time '2024-03-01T00:00'"),
        ([{"a": "1", "b": "2"}], "no column holds times"),
        ([{"time": "2024-01-01", "value": "x"}], "no column holds numbers"),
        ([{"time": "", "value": "1"}], "the time is missing"),
        ([*hours((0, 1), (1, 2), (2, 3)), {"time": "2024-03-01T02:20", "value": "4"}], "whole number of steps"),
    ],
)
def test_what_is_no_series_is_refused(rows, message):
    with pytest.raises(InputError, match=message):
        read(rows)


def test_a_word_in_a_named_column_of_numbers_is_named():
    rows = [*hours((0, 1)), {"time": "2024-03-01T01:00", "value": "much"}]
    with pytest.raises(InputError, match=r"line 3, column 'value': 'much' is no number"):
        read(rows, value="value")
