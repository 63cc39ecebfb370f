"""Which columns are numbers, categories and dates: found from their values, by wish, and what is told of them."""

import pytest

from llmkit.data.column_kinds import Wishes, find
from llmkit.data.columns import Column
from llmkit.data.date_format import DateFormat
from llmkit.data.number_format import PLAIN, NumberFormat
from llmkit.errors import InputError


def kinds(columns, said=None, **wishes):
    """{name: the column}, of {name: values}; what is told goes into `said`."""
    names, count = list(columns), len(next(iter(columns.values())))
    rows = [{name: columns[name][k] for name in names} for k in range(count)]
    told = said if said is not None else []
    found = find(rows, [f"row {k}" for k in range(1, count + 1)], Wishes(**wishes), told.append)
    assert said is not None or not told, told
    return {column.name: column for column in found}


@pytest.mark.parametrize(
    ("values", "column"),
    [
        (["1", "2.5", "-3e2"], Column("x", "number", PLAIN)),
        ([1, 2.5, None], Column("x", "number", PLAIN)),
        (["1,234.56", "7"], Column("x", "number", NumberFormat(".", ","))),
        (["6,23", "7,5"], Column("x", "number", NumberFormat(","))),
        (["65%", "3%"], Column("x", "number", NumberFormat(unit="%"))),
        (["$400", "$1,200.50"], Column("x", "number", NumberFormat(".", ",", "$"))),
        (["red", "blue"], Column("x", "category")),
        (["True", "FALSE"], Column("x", "category")),
        (["True", "0"], Column("x", "category")),
        ([True, 0], Column("x", "category")),
        (["2024-01-31", "2024-02-01"], Column("x", "date", DateFormat("year"))),
        (["31.01.2024", "01.02.2024"], Column("x", "date", DateFormat("day"))),
        (["01/31/2024 10:00", "02/01/2024"], Column("x", "date", DateFormat("month", True))),
    ],
)
def test_a_column_by_its_values(values, column):
    assert kinds({"x": values}) == {"x": column}


def test_codes_with_leading_zeros_are_categories_and_it_is_told():
    said = []
    assert kinds({"x": ["01234", "45678"]}, said)["x"] == Column("x", "category")
    assert said == [
        "the column 'x' has numbers with zeros before them ('01234', '45678'): they are codes, so categories; if they "
        "are amounts, name it in prepare.numbers"
    ]
    assert kinds({"x": ["01234", "45678"]}, numbers=["x"])["x"].kind == "number"


def test_one_column_tells_the_decimal_sign_of_another():
    """1,234 by itself is a thousand; beside 6,23 it is not."""
    said = []
    assert kinds({"x": ["1,234", "2,000"]}, said)["x"].format == NumberFormat(".", ",")
    assert said == [
        "the column 'x' could be read in two ways, such as '1,234': it is taken that it has commas between thousands; "
        "see prepare.decimal"
    ]
    assert kinds({"x": ["1,234", "2,000"], "y": ["6,23", "1"]})["x"].format == NumberFormat(",")
    assert kinds({"x": ["1.234", "900"], "y": ["6,23", "1"]})["x"].format == NumberFormat(",", ".")
    assert kinds({"x": ["1.234", "900"]}, decimal=",")["x"].format == NumberFormat(",", ".")


def test_plain_decimals_of_three_digits_are_told_only_where_all_have_three():
    assert kinds({"x": ["1.234", "0.5"]})["x"].format == PLAIN
    assert kinds({"x": ["1.234", "0.500"]})["x"].format == PLAIN  # no group of thousands begins with 0


def test_days_and_months_that_could_be_either():
    said = []
    assert kinds({"x": ["03/04/2024"]}, said)["x"].format == DateFormat("month")
    assert said == [
        "the column 'x' could be read in two ways, such as '03/04/2024': it is taken that it has the month first; see "
        "prepare.day_first"
    ]
    assert kinds({"x": ["03/04/2024"]}, day_first=True)["x"].format == DateFormat("day")


def test_wishes_come_before_values():
    found = kinds({"x": ["1", "2"], "y": ["20240131", "x"], "z": ["3", "4"]}, categories=["x"], ignore=["y"])
    assert found == {"x": Column("x", "category"), "z": Column("z", "number", PLAIN)}
    assert kinds({"x": ["1.5", "?"]}, numbers=["x"], missing=["?"])["x"].kind == "number"


@pytest.mark.parametrize(
    ("columns", "wishes", "message"),
    [
        ({"x": ["1"]}, {"numbers": ["y"]}, r"row 1: there is no column 'y' \(prepare.numbers\); there are: x"),
        ({"x": ["1"]}, {"named": {"y": "label"}}, r"row 1: there is no column 'y' \(prepare.label\); there are: x"),
        ({"x": ["1"]}, {"named": {"x": "label"}}, "row 1: there is no column to learn from beside 'x'"),
        ({"x": ["1", "2", "n.a."]}, {}, r"row 3, column 'x': 'n.a.' is no number, but most values are \(1 of 3"),
        ({"x": ["soon"]}, {"dates": ["x"]}, r"the column 'x' \(prepare.dates\) holds no dates .*'soon'"),
    ],
)
def test_mistakes(columns, wishes, message):
    with pytest.raises(InputError, match=message):
        kinds(columns, **wishes)


def test_what_is_told_of_odd_columns():
    said = []
    texts = [f"text {k}" for k in range(60)]
    found = kinds({"x": [None] * 60, "y": texts, "z": ["€4", "$4"] * 30}, said)
    assert list(found) == ["y", "z"]
    assert said[0] == "the column 'x' has no value in any row and is left out"
    assert said[1].startswith("the column 'y' has 60 different values in 60 rows: if it is an identifier")
    assert said[2].startswith("the column 'z' has numbers that are not all written in one way ('€4', '$4'), so they")
