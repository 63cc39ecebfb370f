"""Times of series: dates, numbers, zones; the step and its season."""

import numpy as np
import pytest

from llmkit.data import series_times as times
from llmkit.errors import InputError


def read(*texts):
    return times.seconds(texts, [f"line {n}" for n in range(len(texts))], "t").tolist()


def test_dates_zones_and_numbers_are_seconds():
    assert read("1970-01-02", "1970-01-03") == [86400, 172800]
    assert read("1970-01-01T02:00+02:00", "1970-01-01T01:30Z") == [0, 5400]  # an hour that the clock has twice
    assert read("3", "4.5") == [3, 4.5]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("1970-01-02", "soon"), "line 1, column 't': 'soon' is no time"),
        (("1970-01-01T01:00Z", "1970-01-01T02:00"), "line 1, column 't': some times have a time zone"),
    ],
)
def test_what_is_no_time_is_refused(texts, message):
    with pytest.raises(InputError, match=message):
        read(*texts)


def test_the_step_is_the_usual_difference():
    assert times.step_of(np.array([0.0, 60.0, 120.0, 300.0])) == 60.0
    assert [times.season_of(s) for s in (3600.0, 86400.0, 30 * 86400.0, 91 * 86400.0, 5.0)] == [24, 7, 12, 4, 1]
    assert times.name_of(31 * 86400.0) == "month" and times.name_of(3600.0) == "hour"
