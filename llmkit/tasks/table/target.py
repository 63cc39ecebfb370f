"""What a table's model predicts: one of some labels, or a number; and how the number is learnt.

In: the values of the column `prepare.label`, as text, and the section prepare. Out: which of the two it is, the
numbers, and whether their logarithm is learnt.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from llmkit.console.callbacks import Warn
from llmkit.data import number_format
from llmkit.data.columns import Column
from llmkit.data.number_format import PLAIN, NumberFormat, has_leading_zeros
from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.store.files import Files
from llmkit.tasks.table.settings import Prepare

Kind = Literal["label", "number"]
MOST_LABELS = 100  # different whole numbers that are still taken for labels, whatever the number of rows
FEW_LABELS = 20  # different numbers that are taken for labels even where they are many of the rows
SHARE_OF_ROWS = 0.05  # of different whole numbers among the rows: more are numbers
BINS = 10  # of equal size; each split has its share of every one
WIDE = 100.0  # times that the 95 % quantile is above the 5 % one: beyond it the logarithm is learnt


def kind(values: Sequence[str], places: Sequence[str], settings: Prepare, warn: Warn) -> Kind:
    """What is predicted: as `prepare.predict` says or, by itself, numbers where there are many different ones.

    Raises InputError where most values are such, but not all.
    """
    if settings.predict != "auto":
        return settings.predict
    if not are_many_numbers(values):
        words = [number for number, value in enumerate(values) if number_format.find([value]) is None]
        if 0 < 2 * len(words) < len(values) and are_many_numbers([v for v in values if number_format.find([v])]):
            raise InputError(
                f"{places[words[0]]}, column '{settings.label}': {values[words[0]][:40]!r} is no number, but most "
                f"values are ({len(words):,} of {len(values):,} are not); mend them, name what stands for a missing one"
                " in prepare.missing, or set prepare.predict: label"
            )
        return "label"
    warn(
        f"the column '{settings.label}' has {len(set(values)):,} different numbers, so numbers are predicted; if they "
        "are labels, set prepare.predict: label (set it to number and this is said no more)"
    )
    return "number"


def are_many_numbers(values: Sequence[str]) -> bool:
    """Whether values look like amounts rather than names of classes."""
    different = list(dict.fromkeys(values))
    if len(different) <= FEW_LABELS or has_leading_zeros(different):
        return False
    found = number_format.find(different)
    if found is None:
        return False
    whole = all((number_format.parse(text, found.format) or 0.0).is_integer() for text in different)
    return not whole or len(different) > MOST_LABELS or len(different) > SHARE_OF_ROWS * len(values)


def column(values: Sequence[str], settings: Prepare, warn: Warn) -> Column:
    """How the numbers are written, found from their texts; plainly, where these are not all written in one way."""
    decimal = {"auto": "", "point": ".", "comma": ","}[settings.decimal]
    found = number_format.find(list(dict.fromkeys(values)), decimal)
    if found and found.example:
        warn(
            f"the column '{settings.label}' could be read in two ways, such as {found.example!r}: it is taken that it "
            f"has {found.format if str(found.format) else 'a decimal point'}; see prepare.decimal"
        )
    return Column(settings.label, "number", found.format if found else PLAIN)


def as_numbers(values: Sequence[str], places: Sequence[str], column: Column) -> np.ndarray:
    """The numbers (N,) float64 of texts that stand at `places`. Raises InputError for what is no finite number."""
    how = column.format if isinstance(column.format, NumberFormat) else PLAIN
    numbers = [number_format.parse(value, how) for value in values]
    for number, value, place in zip(numbers, values, places, strict=True):
        if number is None:
            written = f" as the others are ({how})" if str(how) else ""
            raise InputError(
                f"{place}, column '{column.name}': {value[:40]!r} is no finite number{written}; mend it, leave it "
                "empty (the row is then left out), name it in prepare.missing, or set prepare.predict=label"
            )
    return np.array(numbers, np.float64)


def bins(numbers: np.ndarray) -> np.ndarray:
    """The tenth (N,) int64 of the rising numbers that each one is in."""
    edges = np.quantile(numbers, np.arange(1, BINS) / BINS)
    return np.searchsorted(edges, numbers, side="right")


def learns_logarithm(numbers: np.ndarray, settings: Prepare) -> bool:
    """Whether the logarithm is learnt, as `prepare.target` says or the training split's numbers (N,) suggest.

    Raises InputError where it cannot be.
    """
    if settings.target == "log" and numbers.min() <= 0:
        raise InputError(
            f"prepare.target: log needs numbers above 0, and the column '{settings.label}' has {numbers.min():g}; "
            "set it to plain"
        )
    if settings.target != "auto":
        return settings.target == "log"
    low, high = np.quantile(numbers, [0.05, 0.95])
    return bool(numbers.min() > 0 and high / low > WIDE)


def predicts_number(prepared: Files) -> bool:
    """Whether a prepared folder is of numbers."""
    meta: Json = prepared.read_json("meta.json")
    return meta.get("predicts") == "number"
