"""Raw values to rows of numbers and categories, the same for training and for a raw row at inference.

In: rows as they were read, {column: value}, values being text, numbers, true, false or null. Out: `Rows`. Nothing is
learnt here: scaling and the numbers of categories are the work of `encoding.py`.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llmkit.errors import InputError


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
    numbers: Sequence[str],
    categories: Sequence[str],
    missing: Collection[str],
) -> Rows:
    """Raw rows, found at `places`, as rows of the named columns; others are ignored.

    Raises InputError for a column that a row lacks, for words in a column of numbers and for what is no row.
    """
    for row, place in zip(rows, places, strict=True):
        if not isinstance(row, dict):
            raise InputError(f"{place}: a row is an object of columns and values, not {type(row).__name__}")
        for column in (*numbers, *categories):
            if column not in row:
                raise InputError(
                    f"{place}: the column '{column}' is not there; the model needs it (an empty value or null is a "
                    f"missing one); there are: {', '.join(row) or 'none'}"
                )
    table = np.full((len(rows), len(numbers)), np.nan)
    words = np.full((len(rows), len(categories)), None, dtype=object)
    for number, (row, place) in enumerate(zip(rows, places, strict=True)):
        for k, column in enumerate(numbers):
            text = as_text(row.get(column), missing, place, column)
            if text is not None:
                table[number, k] = as_number(text, place, column)
        for k, column in enumerate(categories):
            words[number, k] = as_text(row.get(column), missing, place, column)
    return Rows(table, words)


def as_text(value: object, missing: Collection[str], place: str, column: str) -> str | None:
    """A value as text, None for a missing one. Whole numbers have no point, so that 1.0 and 1 are one category."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    if not isinstance(value, str | int):
        raise InputError(f"{place}, column '{column}': a {type(value).__name__} is no value of a table")
    text = str(value).strip()
    return None if text in missing else text


def is_number(text: str) -> bool:
    """Whether a text is a finite number, written as 3, -1.5 or 2e-3."""
    try:
        return "_" not in text and math.isfinite(float(text))
    except ValueError:
        return False


def as_number(text: str, place: str, column: str) -> float:
    """The number in a text. Raises InputError."""
    if not is_number(text):
        raise InputError(
            f"{place}, column '{column}': {text[:40]!r} is no number; mend it, leave it empty if it is missing, or "
            "name the column in prepare.categories and train again"
        )
    return float(text)
