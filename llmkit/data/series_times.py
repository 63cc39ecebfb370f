"""Times of a series: texts to seconds since 1970 (UTC), and the step from one to the next.

In: the time column as it was read: dates (`date_format.py`), or whole numbers, which are seconds since 1970 where they
are above a million and else a mere count. Out: float64 seconds and the usual `Step`.
"""

import calendar
import datetime
from collections.abc import Sequence

import numpy as np

from llmkit.data import date_format
from llmkit.data.columns import is_number
from llmkit.errors import InputError

DAY = 86_400.0
NAMES = {1.0: "second", 60.0: "minute", 3600.0: "hour", DAY: "day", 7 * DAY: "week"}
SEASONS = {60.0: 1440, 900.0: 96, 1800.0: 48, 3600.0: 24, DAY: 7, 7 * DAY: 52}  # steps in the usual season
_EPOCH = datetime.datetime(1970, 1, 1)
MONTH, YEAR = (28 * DAY, 31 * DAY), (365 * DAY, 366 * DAY)


def seconds(texts: Sequence[str], places: Sequence[str], column: str) -> np.ndarray:
    """Seconds since 1970 (N,) float64 of a column of times. Raises InputError for one that is no time."""
    if all(is_number(text) for text in texts):
        return np.array([float(text) for text in texts])
    found = date_format.find(sorted(set(texts)))
    if found is None:
        place, text = _first_odd(texts, places)
        raise InputError(f"{place}, column '{column}': {text[:40]!r} is no time; write 2024-03-01 or 2024-03-01T12:30")
    zoned = [text.strip().endswith("Z") or (text.strip()[-6:-5] in ("+", "-") and ":" in text) for text in texts]
    if any(zoned) and not all(zoned):
        place = places[zoned.index(not zoned[0])]
        raise InputError(f"{place}, column '{column}': some times have a time zone and some have none; write all alike")
    moments = [date_format.parse(text, found.format) for text in texts]
    return np.array([round(moment.days * DAY, 3) for moment in moments if moment is not None])


def _first_odd(texts: Sequence[str], places: Sequence[str]) -> tuple[str, str]:
    """The first text that is no date by the format of the first one that is."""
    for how in (date_format.find([text]) for text in texts):
        if how is not None:
            for text, place in zip(texts, places, strict=True):
                if date_format.parse(text, how.format) is None:
                    return place, text
    return places[0], texts[0]


def step_of(times: np.ndarray) -> float:
    """The usual seconds from one of the rising times (N,) to the next: their most frequent difference."""
    values, counts = np.unique(np.round(np.diff(times), 3), return_counts=True)
    return float(values[counts.argmax()]) if len(values) else 1.0


def by_calendar(step: float) -> bool:
    """Whether a step is a month or longer, and so not always as many seconds."""
    return step >= MONTH[0]


def season_of(step: float) -> int:
    """Steps in the season that such times usually have: a day of hours, a week of days, a year of months."""
    if MONTH[0] <= step <= MONTH[1]:
        return 12
    if 3 * MONTH[0] <= step <= 3 * MONTH[1]:
        return 4
    return SEASONS.get(step, 1)


def name_of(step: float) -> str:
    """A step in words."""
    if MONTH[0] <= step <= MONTH[1]:
        return "month"
    if YEAR[0] <= step <= YEAR[1]:
        return "year"
    return NAMES.get(step, f"{step:g} seconds")


def following(begin: float, step: float, count: int) -> np.ndarray:
    """`count` times (N,) in seconds since 1970 from `begin` on; steps of months and longer go by the calendar."""
    if not by_calendar(step):
        return begin + step * np.arange(count)
    months = max(1, round(step / (YEAR[0] / 12)))
    try:
        first = _EPOCH + datetime.timedelta(seconds=begin)
        return np.array([(_months_later(first, months * k) - _EPOCH).total_seconds() for k in range(count)])
    except (OverflowError, ValueError):  # beyond the year 9999
        return begin + step * np.arange(count)


def preceding(end: float, step: float, count: int) -> np.ndarray:
    """`count` times (N,) in seconds since 1970 up to the one before `end`."""
    if not by_calendar(step):
        return end - step * np.arange(count, 0, -1)
    months = max(1, round(step / (YEAR[0] / 12)))
    try:
        after = _EPOCH + datetime.timedelta(seconds=end)
        return np.array([(_months_later(after, -months * k) - _EPOCH).total_seconds() for k in range(count, 0, -1)])
    except (OverflowError, ValueError):  # before the year 1
        return end - step * np.arange(count, 0, -1)


def text_of(moment: float) -> str:
    """Seconds since 1970 as a date, with a time where it is not midnight."""
    try:
        found = _EPOCH + datetime.timedelta(seconds=round(moment, 3))
    except OverflowError:
        return f"{moment:g}"
    return found.date().isoformat() if moment % DAY == 0 else found.isoformat()


def _months_later(moment: datetime.datetime, months: int) -> datetime.datetime:
    """The same day so many months later, or the last one of a shorter month."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    longest = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, longest))
