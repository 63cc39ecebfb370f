"""Dates as people write them, against Python's own datetime."""

import datetime

import pytest
from hypothesis import given, strategies as st

from llmkit.data import date_format
from llmkit.data.date_format import DateFormat, find, parse


def days(*moment):
    return (datetime.datetime(*moment) - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "order", "wall"),
    [
        ("2024-03-01", "year", (2024, 3, 1)),
        ("2024/3/1 12:30", "year", (2024, 3, 1, 12, 30)),
        ("2024-03-01T12:30:15.5Z", "year", (2024, 3, 1, 12, 30, 15, 500_000)),
        ("01.03.2024", "day", (2024, 3, 1)),
        ("1.3.24", "day", (2024, 3, 1)),
        ("1/3/69", "day", (1969, 3, 1)),
        ("3/1/2024 2:05 PM", "month", (2024, 3, 1, 14, 5)),
        ("3/1/2024, 12:05 a.m.", "month", (2024, 3, 1, 0, 5)),
        ("3 May 1999", "named", (1999, 5, 3)),
        ("3-may-99", "named", (1999, 5, 3)),
        ("September 3, 1999", "named", (1999, 9, 3)),
    ],
)
def test_a_date_by_its_order(text, order, wall):
    found = parse(text, DateFormat(order))
    assert found == (datetime.datetime(*wall), days(*wall))


def test_a_zone_moves_the_day_of_the_world_not_that_of_the_wall():
    found = parse("2024-03-01 01:00 +02:00", DateFormat("year"))
    assert found == (datetime.datetime(2024, 3, 1, 1), days(2024, 2, 29, 23))
    assert parse("2024-03-01 01:00-0330", DateFormat("year")).days == days(2024, 3, 1, 4, 30)


@pytest.mark.parametrize(
    "text",
    ["2024-02-30", "2024-13-01", "24-03-01", "2024-03/01", "2024-03-01 25:00", "2024-03-01 13:00 PM", "2024"],
)
def test_what_is_no_date(text):
    assert parse(text, DateFormat("year")) is None


def test_no_month_of_that_name():
    assert parse("3 Mayonnaise 1999", DateFormat("named")) is None


@pytest.mark.parametrize(
    ("texts", "how", "example"),
    [
        (["2024-03-01", "2024-03-02 10:00"], DateFormat("year", time=True), ""),
        (["13.04.2024", "01.02.2024"], DateFormat("day"), ""),
        (["04/13/2024", "01/02/2024"], DateFormat("month"), ""),
        (["03/04/2024"], DateFormat("month"), "03/04/2024"),
        (["03.04.2024"], DateFormat("day"), "03.04.2024"),
        (["03.03.2024"], DateFormat("day"), ""),
        (["3 May 1999", "May 4, 1999"], DateFormat("named"), ""),
    ],
)
def test_the_format_of_a_column(texts, how, example):
    assert find(texts) == date_format.Found(how, example)


def test_what_could_be_either_follows_the_setting():
    assert find(["03/04/2024"], "day") == date_format.Found(DateFormat("day"))
    assert find(["03/14/2024"], "day") == date_format.Found(DateFormat("month"))


@pytest.mark.parametrize("texts", [[], ["2024-01-01", "01.02.2024"], ["13/13/2024"], ["12", "13"], ["1.5.2"]])
def test_texts_that_are_no_dates(texts):
    assert find(texts) is None


@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2068, 12, 31)))
def test_dates_come_back(moment):
    moment = moment.replace(microsecond=0)
    for order, form in (("year", "%Y-%m-%d %H:%M:%S"), ("day", "%d.%m.%y %H:%M:%S"), ("month", "%m/%d/%Y %I:%M:%S %p")):
        assert parse(moment.strftime(form), DateFormat(order)).wall == moment
    assert parse(moment.strftime("%d %B %Y"), DateFormat("named")).wall.date() == moment.date()
