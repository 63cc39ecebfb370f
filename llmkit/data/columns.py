"""Raw values to rows of numbers and categories, the same for training and for a raw row at inference.

In: rows as they were read, {column: value}, values being text, numbers, true, false or null, and how each column is
read (`Column`; `column_kinds.py` finds that). Out: `Rows`. A column of dates becomes several: elapsed days and day of
the month as numbers, weekday, month and hour as categories. Nothing is learnt here: scaling and the numbers of
categories are the work of `encoding.py`.
"""

import datetime
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llmkit.data import date_format, number_format
from llmkit.data.date_format import DateFormat
from llmkit.data.number_format import PLAIN, NumberFormat
from llmkit.data.plain_text import normal
from llmkit.errors import InputError

WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)\.0*")  # 3.0 and 3. are 3
BOOLEANS = ("false", "true")  # in any mixture of capitals
NOTHING = ("NAType", "NaTType")  # pandas' missing values, by the names of their classes
Kind = Literal["number", "category", "date"]


@dataclass(frozen=True)
class Column:
    """A column and how its values are read; `format` is that of its numbers or dates."""

    name: str
    kind: Kind
    format: NumberFormat | DateFormat | None = None

    @property
    def numbers(self) -> list[str]:
        """The names of the columns of numbers that it becomes."""
        if self.kind == "date":
            return [f"{self.name}, days", f"{self.name}, day of month"]
        return [self.name] if self.kind == "number" else []

    @property
    def categories(self) -> list[str]:
        """The names of the columns of categories that it becomes."""
        if self.kind == "date":
            assert isinstance(self.format, DateFormat)
            return [f"{self.name}, {part}" for part in ("weekday", "month", *(["hour"] if self.format.time else []))]
        return [self.name] if self.kind == "category" else []

    def __str__(self) -> str:
        about = str(self.format or "")
        return f"{self.kind} ({about})" if about else self.kind


@dataclass(frozen=True)
class Rows:
    """N rows: `numbers` (N, columns) float64, NaN where missing; `categories` (N, columns) of text or None."""

    numbers: np.ndarray
    categories: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, which: np.ndarray) -> "Rows":
        """Some of the rows."""
        return Rows(self.numbers[which], self.categories[which])


def parse(
    rows: Sequence[Mapping[str, object]],
    places: Sequence[str],
    columns: Sequence[Column],
    missing: Collection[object],
) -> Rows:
    """Raw rows, found at `places`, as rows of the columns; others are ignored.

    Raises InputError for a column that a row lacks, for a value that is not written as its column's are, and for what
    is no row.
    """
    for row, place in zip(rows, places, strict=True):
        if not isinstance(row, Mapping):
            raise InputError(f"{place}: a row is an object of columns and values, not {type(row).__name__}")
        for column in columns:
            if column.name not in row:
                raise InputError(
                    f"{place}: the column '{column.name}' is not there; the model needs it (an empty value or null is "
                    f"a missing one); there are: {', '.join(map(str, row)) or 'none'}"
                )
    absent = missing_texts(missing)
    numbers, categories = [], []
    for column in columns:
        values = [row[column.name] for row in rows]
        if column.kind == "number":
            how = column.format if isinstance(column.format, NumberFormat) else PLAIN
            found = [as_number(v, how, absent, place, column.name) for v, place in zip(values, places, strict=True)]
            numbers.append(np.array(found, np.float64))
        elif column.kind == "category":
            texts = [as_text(v, absent, place, column.name) for v, place in zip(values, places, strict=True)]
            categories.append(np.array([*texts, None], object)[:-1])
        else:
            assert isinstance(column.format, DateFormat)
            parts = _date_columns(values, column.format, absent, places, column.name)
            numbers += parts[0]
            categories += parts[1]
    return Rows(
        np.stack(numbers, axis=1) if numbers else np.zeros((len(rows), 0)),
        np.stack(categories, axis=1) if categories else np.zeros((len(rows), 0), object),
    )


def _date_columns(
    values: Sequence[object], how: DateFormat, missing: Collection[str], places: Sequence[str], column: str
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The columns of numbers, and of categories, that a column of dates becomes, as `Column` names them."""
    days = np.full(len(values), np.nan)
    day_of_month = np.full(len(values), np.nan)
    parts = np.full((len(values), 3 if how.time else 2), None, dtype=object)
    for number, (value, place) in enumerate(zip(values, places, strict=True)):
        text = as_text(value, missing, place, column)
        if text is None:
            continue
        moment = date_format.parse(text, how) or date_format.parse(text, DateFormat("year", how.time))
        if moment is None:
            raise InputError(
                f"{place}, column '{column}': {text[:40]!r} is no date as the others are ({how}); mend it or leave it "
                "empty if it is missing"
            )
        wall = moment.wall
        days[number], day_of_month[number] = moment.days, wall.day
        parts[number] = [wall.strftime("%w"), str(wall.month), str(wall.hour)][: parts.shape[1]]
    return [days, day_of_month], list(parts.T)


def missing_texts(values: Collection[object]) -> frozenset[str]:
    """What stands for a missing value, in the spelling that `as_text` gives: -999 for -999.0 and for the number too."""
    return frozenset(_spelt(normal(str(value)).strip()) for value in values)


def as_text(value: object, missing: Collection[str], place: str, column: str) -> str | None:
    """A value as text, None for a missing one; `missing` as `missing_texts` gives them. Raises InputError.

    What is written in several ways is one value: 3, 3.0 and the number 3; True, TRUE and JSON's true.
    """
    value = _plain(value)
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return BOOLEANS[value]
    if isinstance(value, float):
        text = str(int(value)) if value.is_integer() else repr(value)
    elif isinstance(value, str | int):
        text = _spelt(normal(str(value)).strip())
    else:
        raise InputError(f"{place}, column '{column}': a {type(value).__name__} is no value of a table")
    return None if text in missing else text


def as_number(value: object, how: NumberFormat, missing: Collection[str], place: str, column: str) -> float:
    """The number that a value is, NaN for a missing one; `how` texts are written. Raises InputError."""
    value = _plain(value)
    text = as_text(value, missing, place, column)
    if text is None:
        return math.nan
    if isinstance(value, bool | int | float):  # true is 1
        number: float | None = float(value) if math.isfinite(value) else None
    else:
        number = number_format.parse(text, how)
        if number is None and text in BOOLEANS:
            number = float(BOOLEANS.index(text))
    if number is None:
        written = f" as the others are ({how})" if str(how) else ""
        raise InputError(
            f"{place}, column '{column}': {text[:40]!r} is no number{written}; mend it, leave it empty if it is "
            "missing, or name the column in prepare.categories and train again"
        )
    return number


def is_number(text: str) -> bool:
    """Whether a text is a finite number, written as 3, -1.5 or 2e-3."""
    return number_format.parse(text, PLAIN) is not None


def _spelt(text: str) -> str:
    if WHOLE.fullmatch(text):
        return text.split(".")[0]
    return text.lower() if text.lower() in BOOLEANS else text


def _plain(value: object) -> object:
    """Numpy's scalars, pandas' missing values and dates as Python's own values and text."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value).__name__ in NOTHING:
        return None
    return value.isoformat() if isinstance(value, datetime.date) else value
