"""Dates as people write them: 2024-03-01T12:30Z, 01.03.2024, 3/1/2024 2:05 PM, 3 May 1999.

In: the texts of a column. Out: the one `DateFormat` by which all are dates, and for each text the days since 1970, of
the clock on the wall and of the world's (UTC), which differ where a time zone is written.
"""

import datetime
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
TIME = (
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]{1,9}))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?\s*(?P<zone>Z|UTC|[+-][0-9]{2}:?[0-9]{2})?"
)
AFTER = rf"(?:(?:[T ]|,\s*){TIME})?"
YEAR_FIRST = re.compile(rf"(?P<a>[0-9]{{4}})(?P<sep>[-/.])(?P<b>[0-9]{{1,2}})(?P=sep)(?P<c>[0-9]{{1,2}}){AFTER}")
YEAR_LAST = re.compile(
    rf"(?P<a>[0-9]{{1,2}})(?P<sep>[-/.])(?P<b>[0-9]{{1,2}})(?P=sep)(?P<c>[0-9]{{4}}|[0-9]{{2}}){AFTER}"
)
DAY_NAMED = re.compile(
    rf"(?P<a>[0-9]{{1,2}})[\s.-]+(?P<b>[A-Za-z]{{3,9}})\.?[\s,-]+(?P<c>[0-9]{{4}}|[0-9]{{2}}){AFTER}"
)
MONTH_NAMED = re.compile(rf"(?P<b>[A-Za-z]{{3,9}})\.?\s+(?P<a>[0-9]{{1,2}}),?\s+(?P<c>[0-9]{{4}}){AFTER}")
PIVOT = 69  # of years of two digits: 69 is 1969, 68 is 2068, as POSIX has it
EPOCH = datetime.datetime(1970, 1, 1)


@dataclass(frozen=True)
class DateFormat:
    """How the dates of a column are written: the order of its numbers, or the month by its English name."""

    order: Literal["year", "day", "month", "named"]
    """What stands first: year, day or month; named: 3 May 1999 or May 3, 1999."""
    time: bool = False
    """Whether some have a time of day."""

    def __str__(self) -> str:
        first = "months by name" if self.order == "named" else f"{self.order} first"
        return f"{first}, with times" if self.time else first


class Moment(NamedTuple):
    """A date: days since 1970-01-01 00:00 of the clock on the wall (its parts are `wall`) and of UTC."""

    wall: datetime.datetime
    days: float


def parse(text: str, how: DateFormat) -> Moment | None:
    """The moment in a text that is written so, None in any other."""
    text = " ".join(text.split())
    patterns = {"year": (YEAR_FIRST,), "day": (YEAR_LAST,), "month": (YEAR_LAST,), "named": (DAY_NAMED, MONTH_NAMED)}
    for pattern in patterns[how.order]:
        if match := pattern.fullmatch(text):
            return _moment(match, how.order)
    return None


def _moment(match: re.Match[str], order: str) -> Moment | None:
    a, b, c = match["a"], match["b"], match["c"]
    if order == "year":
        year, month, day = int(a), int(b), int(c)
    else:
        year = int(c) + (0 if len(c) == 4 else 1900 if int(c) >= PIVOT else 2000)
        if order == "named":
            named = _month(b)
            if named is None:
                return None
            month, day = named, int(a)
        else:
            month, day = (int(b), int(a)) if order == "day" else (int(a), int(b))
    hour, half = int(match["hour"] or 0), match["half"]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "Pp" else 0)
    part = int(f"{match['part'] or 0:0<6}"[:6])
    try:
        wall = datetime.datetime(year, month, day, hour, int(match["minute"] or 0), int(match["second"] or 0), part)
    except ValueError:
        return None
    since = wall - EPOCH - _offset(match["zone"])
    return Moment(wall, since / datetime.timedelta(days=1))


def _month(name: str) -> int | None:
    """The month of an English name, in full or cut short after three letters or more."""
    found = [number for number, month in enumerate(MONTHS, 1) if month.startswith(name.lower())]
    return found[0] if len(found) == 1 else None


def _offset(zone: str | None) -> datetime.timedelta:
    if not zone or zone in ("Z", "UTC"):
        return datetime.timedelta()
    minutes = 60 * int(zone[1:3]) + int(zone[-2:])
    return datetime.timedelta(minutes=-minutes if zone[0] == "-" else minutes)


@dataclass(frozen=True)
class Found:
    """The format of a column; `example` is a text that another order would read as another day, if there is one."""

    format: DateFormat
    example: str = ""


def find(texts: Collection[str], first: str = "") -> Found | None:
    """The format by which all texts are dates, None where there is none.

    `first`, day or month, is for dates that could be either, 3/4/2024; without it the month comes first where slashes
    part the numbers, as in America, and else the day.
    """
    time = any(":" in text for text in texts)
    fitting = []
    for order in ("year", "day", "month", "named"):
        how = DateFormat(order, time)
        if texts and all(parse(text, how) for text in texts):
            fitting.append(how)
    if not fitting:
        return None
    if len(fitting) == 1:
        return Found(fitting[0])
    by_order = {how.order: how for how in fitting}  # day and month: the two patterns are one
    if first in by_order:
        return Found(by_order[first])
    differing = next((text for text in texts if len({parse(text, how) for how in fitting}) > 1), "")
    slashes = any("/" in text for text in texts)
    return Found(by_order["month" if slashes else "day"], differing)
