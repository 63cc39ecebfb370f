"""Rows to series of numbers over time: long tables, wide ones by columns, wide ones by rows.

    long       a row for each time of each series: (series,) time, value
    columns    a row for each time, a column of numbers for each series
    rows       a row for each series: its name, then its values; they have no times

In: rows as `rows.py` reads them. Out: a `History` of each series, evenly spaced, NaN where a value is missing. Times
out of order are sorted; a gap is what `gaps` says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmkit.console.callbacks import Warn
from llmkit.data import number_format, series_times
from llmkit.data.columns import as_text, is_number
from llmkit.data.missing import MISSING
from llmkit.data.number_format import PLAIN
from llmkit.data.rows import Row
from llmkit.errors import InputError

TIME_NAMES = ("time", "date", "datetime", "timestamp", "ts", "ds", "day", "month", "hour")
VALUE_NAMES = ("value", "y", "target", "load", "sales")


@dataclass(frozen=True)
class Columns:
    """What the columns are; what is empty is found out."""

    time: str = ""
    value: str = ""
    series: str = ""
    evenly: bool = False
    """Take each row for the step after the one before it, whatever the times say, as trading days are."""
    gaps: str = "refuse"
    """refuse, missing, zero or carry."""


@dataclass(frozen=True)
class History:
    """One series: `values` (N,) float64 from `start`, seconds since 1970, on, `step` seconds apart."""

    name: str
    start: float
    step: float
    values: np.ndarray


def of_rows(rows: Sequence[Row], places: Sequence[str], columns: Columns, warn: Warn) -> list[History]:
    """The series in the rows, in the order of their first rows. Raises InputError for what is no series."""
    if not rows:
        raise InputError("there are no rows; a series needs times and values")
    names = list(rows[0])
    time = columns.time or _time_column(rows, names)
    if time and time not in names:
        raise InputError(f"{places[0]}: there is no column '{time}' (prepare.time); there are: {', '.join(names)}")
    if not time:
        if len(names) < 3 or columns.value:
            raise InputError(
                f"{places[0]}: no column holds times; name it in prepare.time, there are: {', '.join(names[:10])}"
            )
        return [_of_row(row, names, place) for row, place in zip(rows, places, strict=True)]
    value, series = columns.value, columns.series
    others = [name for name in names if name not in (time, series)]
    if not value:
        numbers = [name for name in others if all(is_number(t) for row in rows if (t := _text(row, name, "")))]
        likely = [name for name in numbers if name.lower() in VALUE_NAMES]
        if series or len(numbers) == 1 or likely:
            value = (likely or numbers or [""])[0]
            words = [name for name in others if name not in numbers]
            series = series or (words[0] if len(words) == 1 else "")
        elif numbers:
            return [h for name in numbers for h in _long(rows, places, time, name, "", columns, warn)]
    if not value:
        raise InputError(f"{places[0]}: no column holds numbers beside the times '{time}'; name one in prepare.value")
    for name in filter(None, (value, series)):
        if name not in names:
            raise InputError(f"{places[0]}: there is no column '{name}'; there are: {', '.join(names)}")
    return _long(rows, places, time, value, series, columns, warn)


def _time_column(rows: Sequence[Row], names: Sequence[str]) -> str:
    """The column whose name or whose first values say that it holds times; empty where there is none."""
    for name in names:
        if name.lower() in TIME_NAMES:
            return name
    for name in names:
        found = [text for row in rows[:20] if (text := _text(row, name, ""))]
        if found and not is_number(found[0]) and series_times.date_format.find(found):
            return name
    return ""


def _of_row(row: Row, names: Sequence[str], place: str) -> History:
    """A wide row: its name, its values up to the last one that is there."""
    title = _text(row, names[0], place) or place
    found = [_number(row, name, place) for name in names[1:]]
    while found and np.isnan(found[-1]):
        found.pop()
    return History(title, 0.0, 1.0, np.array(found))


def _long(
    rows: Sequence[Row], places: Sequence[str], time: str, value: str, series: str, columns: Columns, warn: Warn
) -> list[History]:
    texts: list[str] = []
    numbers: list[float] = []
    groups: dict[str, list[int]] = {}
    for number, (row, place) in enumerate(zip(rows, places, strict=True)):
        text = _text(row, time, place)
        if text is None:
            raise InputError(f"{place}, column '{time}': the time is missing; write it or leave the row out")
        texts.append(text)
        numbers.append(_number(row, value, place))
        groups.setdefault((_text(row, series, place) or "") if series else value, []).append(number)
    times, values = series_times.seconds(texts, places, time), np.array(numbers)
    return [
        _evened(name, times[which], values[which], [places[k] for k in which], [texts[k] for k in which], columns, warn)
        for name, which in groups.items()
    ]


def _evened(
    name: str,
    times: np.ndarray,
    values: np.ndarray,
    places: list[str],
    texts: list[str],
    columns: Columns,
    warn: Warn,
) -> History:
    """Rows of one series on an even grid of times."""
    order = np.argsort(times, kind="stable")
    if (np.diff(order) < 0).any():
        warn(f"{places[0]}: the times of '{name}' are out of order; they are sorted")
    times, values = times[order], values[order]
    twice = np.flatnonzero(np.diff(times) == 0)
    if len(twice):
        first, second = places[order[twice[0]]], places[order[twice[0] + 1]]
        raise InputError(
            f"{second}: '{name}' has a second row for the time {texts[order[twice[0]]]!r} (the other: {first}); "
            "leave one out, or name the column that tells series apart in prepare.series"
        )
    step = series_times.step_of(times)
    if columns.evenly or series_times.by_calendar(step):
        return History(name, float(times[0]), step, values)
    at = (times - times[0]) / step
    if (np.abs(at - np.round(at)) > 0.01).any():
        odd = int(np.flatnonzero(np.abs(at - np.round(at)) > 0.01)[0])
        raise InputError(
            f"{places[order[odd]]}: the time {texts[order[odd]]!r} of '{name}' is not a whole number of steps "
            f"({series_times.name_of(step)}) after the first; mend it, or take rows as they come: prepare.step=row"
        )
    grid = np.full(round(at[-1]) + 1, np.nan)
    grid[np.round(at).astype(int)] = values
    if len(grid) == len(values):
        return History(name, float(times[0]), step, grid)
    hole = int(np.flatnonzero(np.diff(np.round(at)) > 1)[0])
    what = f"'{name}' has a gap after {texts[order[hole]]!r} ({places[order[hole]]}): {len(grid) - len(values):,} times"
    if columns.gaps == "refuse":
        raise InputError(f"{what} are missing in all; say prepare.gaps=missing, zero or carry, or prepare.step=row")
    warn(f"{what} are missing in all; taken as {columns.gaps}")
    return History(name, float(times[0]), step, _filled(grid, columns.gaps))


def _filled(values: np.ndarray, gaps: str) -> np.ndarray:
    """Values without NaN where gaps are to be zero or carried on."""
    if gaps == "zero":
        return np.nan_to_num(values, nan=0.0)
    if gaps == "carry":
        last = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
        return values[last]
    return values


def _text(row: Row, name: str, place: str) -> str | None:
    return as_text(row.get(name), MISSING, place, name)


def _number(row: Row, name: str, place: str) -> float:
    text = _text(row, name, place)
    if text is None:
        return np.nan
    number = number_format.parse(text, PLAIN)
    if number is None:
        raise InputError(f"{place}, column '{name}': {text[:40]!r} is no number; mend it, or leave it empty if missing")
    return number
