"""Numbers as people write them, value by value, and which format a column has."""

import pytest
from hypothesis import given, strategies as st

from llmkit.data import number_format
from llmkit.data.number_format import NumberFormat, find, parse

AMERICAN, GERMAN = NumberFormat(".", ","), NumberFormat(",", ".")


@pytest.mark.parametrize(
    ("text", "how", "number"),
    [
        ("3", NumberFormat(), 3),
        ("-1.5e3", NumberFormat(), -1500),
        (".5", NumberFormat(), 0.5),
        ("5.", NumberFormat(), 5),
        ("+7", NumberFormat(), 7),
        ("\N{MINUS SIGN}5", NumberFormat(), -5),
        ("(12)", NumberFormat(), -12),
        ("1,234.56", AMERICAN, 1234.56),
        ("12,34,567", AMERICAN, 1234567),
        ("1.234,56", GERMAN, 1234.56),
        ("6,23", NumberFormat(","), 6.23),
        ("1 234", NumberFormat(".", " "), 1234),
        ("1\N{NARROW NO-BREAK SPACE}234,5", NumberFormat(",", " "), 1234.5),
        ("1'234.5", NumberFormat(".", "'"), 1234.5),
        ("65%", NumberFormat(unit="%"), 65),
        ("65 %", NumberFormat(unit="%"), 65),
        ("$400", NumberFormat(unit="$"), 400),
        ("-$400", NumberFormat(unit="$"), -400),
        ("($1,400.50)", NumberFormat(".", ",", "$"), -1400.5),
        ("1.234,50 €", NumberFormat(",", ".", "€"), 1234.5),
        ("EUR 12", NumberFormat(unit="EUR"), 12),
        ("12.50- €", NumberFormat(unit="€"), -12.5),
    ],
)
def test_a_number_by_its_format(text, how, number):
    assert parse(text, how) == number


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("1_000", NumberFormat()),
        ("nan", NumberFormat()),
        ("inf", NumberFormat()),
        ("1e999", NumberFormat()),
        ("1,5", NumberFormat()),
        ("", NumberFormat()),
        ("-", NumberFormat()),
        ("()", NumberFormat()),
        ("$", NumberFormat(unit="$")),
        ("12,34", AMERICAN),
        ("0,123", AMERICAN),
        ("1,2345", AMERICAN),
        ("400", NumberFormat(unit="$")),
        ("€400", NumberFormat(unit="$")),
        ("$400%", NumberFormat(unit="$")),
        ("(-5)", NumberFormat(".", ",", "$")),
        ("٣", NumberFormat()),
    ],
)
def test_what_is_none(text, how):
    assert parse(text, how) is None


@pytest.mark.parametrize(
    ("texts", "how"),
    [
        (["1", "2.5"], NumberFormat()),
        (["1,234.56", "7"], AMERICAN),
        (["6,23", "7"], NumberFormat(",")),
        (["1.234,56", "0,5"], GERMAN),
        (["1.234.567"], GERMAN),
        (["1,234,567"], AMERICAN),
        (["65%", "3%"], NumberFormat(unit="%")),
        (["1 234", "12"], NumberFormat(".", " ")),
        (["1 234,5", "12"], NumberFormat(",", " ")),
    ],
)
def test_the_format_of_a_column(texts, how):
    assert find(texts) == number_format.Found(how)


@pytest.mark.parametrize("texts", [["1", "x"], ["65%", "3"], ["$4", "€4"], ["1,5", "1.5"], ["1,234.5", "1.234,5"], []])
def test_texts_that_do_not_agree_are_no_numbers(texts):
    assert find(texts) is None


def test_what_could_be_either_follows_the_other_columns_and_is_told():
    assert find(["1,234", "9"]) == number_format.Found(AMERICAN, "1,234")
    assert find(["1,234", "9"], ",") == number_format.Found(NumberFormat(","))
    assert find(["1.234", "900"]) == number_format.Found(NumberFormat(), "1.234")
    assert find(["1.234", "900"], ",") == number_format.Found(GERMAN)
    assert find(["12", "9"], ",") == number_format.Found(NumberFormat())  # no sign: the same either way


@given(st.floats(-1e9, 1e9).map(lambda value: round(value, 2)), st.sampled_from([AMERICAN, GERMAN]))
def test_grouped_numbers_come_back(number, how):
    text = f"{number:,.2f}"
    if how == GERMAN:
        text = text.translate(str.maketrans(",.", ".,"))
    assert parse(text, how) == number


@given(st.text(max_size=12))
def test_any_text_is_a_finite_number_or_none(text):
    for how in (*number_format.POINTS, *number_format.COMMAS):
        number = parse(text, how)
        assert number is None or abs(number) < float("inf")


def test_codes_have_zeros_before_them():
    assert number_format.has_leading_zeros(["12", "01234"])
    assert not number_format.has_leading_zeros(["0", "0.5", "10"])


def test_formats_as_people_say_them():
    assert str(NumberFormat()) == ""
    assert str(NumberFormat(",", ".", "€")) == "decimal comma, points between thousands, in €"
