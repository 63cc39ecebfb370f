"""Which columns of a table are numbers, categories and dates, and how each is written.

In: rows as they were read, and what the user says of columns. Out: `Column`s, in the order in which they occur. What
was found follows from the values of all rows; what could be read in two ways is told.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from llmkit.console.callbacks import Warn
from llmkit.data import date_format, number_format
from llmkit.data.columns import BOOLEANS, Column, as_text, missing_texts
from llmkit.data.rows import Row
from llmkit.errors import InputError

IDENTIFIER_VALUES = 50  # different ones, and more than half of the rows': the column looks like an identifier
COUNTED_ROWS = 10  # fewer in a row may be anything
EXAMPLES = 200  # different values that are looked at for the sign of decimals that a table uses


@dataclass(frozen=True)
class Wishes:
    """What the user says of columns; the names of keys are those of the section prepare."""

    numbers: Sequence[str] = ()
    categories: Sequence[str] = ()
    dates: Sequence[str] = ()
    ignore: Sequence[str] = ()
    missing: Sequence[object] = ()
    decimal: str = ""
    """The decimal sign of all columns, "." or ","; empty where each column tells."""
    day_first: bool | None = None
    """Whether 3/4/2024 is in April; None where each column tells."""
    named: dict[str, str] = field(default_factory=dict)
    """{column: key of the config} of columns that are no inputs: the label, the weights."""


def find(rows: list[Row], places: list[str], wishes: Wishes, warn: Warn) -> list[Column]:
    """The columns to learn from.

    Raises InputError for a named column that is not there, and for one that holds numbers and words.
    """
    there = list(dict.fromkeys(name for row in rows for name in row))
    _check_names(there, places[0], wishes)
    texts = {}
    absent = missing_texts(wishes.missing)
    for name in there:
        if name in wishes.named or name in wishes.ignore:
            continue
        values = [as_text(row.get(name), absent, place, name) for row, place in zip(rows, places, strict=True)]
        if any(value is not None for value in values):
            texts[name] = values
        else:
            warn(f"the column '{name}' has no value in any row and is left out")
    distinct = {name: list(dict.fromkeys(v for v in values if v is not None)) for name, values in texts.items()}
    decimal = wishes.decimal or _decimal(distinct)
    for name, texts_there in distinct.items():
        _tell_of_counting(name, texts_there, len(rows), wishes, warn)
    columns = [
        _column(name, distinct[name], decimal, wishes, warn) or _words(name, texts[name], distinct[name], places, warn)
        for name in texts
    ]
    if not columns:
        where = ", ".join(f"'{name}'" for name in wishes.named)
        raise InputError(f"{places[0]}: there is no column to learn from beside {where}")
    return columns


def _check_names(there: list[str], place: str, wishes: Wishes) -> None:
    keys = {"numbers": wishes.numbers, "categories": wishes.categories, "dates": wishes.dates, "ignore": wishes.ignore}
    asked = [*wishes.named.items(), *((name, key) for key, names in keys.items() for name in names)]
    for name, key in asked:
        if name not in there:
            raise InputError(f"{place}: there is no column '{name}' (prepare.{key}); there are: {', '.join(there)}")


def _decimal(distinct: dict[str, list[str]]) -> str:
    """The decimal sign of the table: that of its columns which can be read in one way alone, if they agree."""
    signs = set()
    for texts in distinct.values():
        found = number_format.find(texts[:EXAMPLES])
        if found and not found.example and any("." in text or "," in text for text in texts[:EXAMPLES]):
            signs.add(found.format.decimal)
    return signs.pop() if len(signs) == 1 else ""


def _column(name: str, texts: list[str], decimal: str, wishes: Wishes, warn: Warn) -> Column | None:
    """The column, None where its values are words that nobody called categories."""
    if name in wishes.categories:
        return Column(name, "category")
    if name not in wishes.dates:
        if set(texts) & set(BOOLEANS) and set(texts) <= {*BOOLEANS, "0", "1"} and name not in wishes.numbers:
            return Column(name, "category")
        if number_format.has_leading_zeros(texts) and name not in wishes.numbers:
            if all(text.isdigit() for text in texts):
                warn(
                    f"the column '{name}' has numbers with zeros before them ({_some(texts)}): they are codes, so "
                    "categories; if they are amounts, name it in prepare.numbers"
                )
                return Column(name, "category")
        elif found := number_format.find(texts, decimal):
            if found.example:
                _tell(name, found.example, f"has {found.format or 'a decimal point'}", "prepare.decimal", warn)
            return Column(name, "number", found.format)
        if name in wishes.numbers:
            found = number_format.find([text for text in texts if not text.isdigit()] or texts, decimal)
            return Column(name, "number", found.format if found else number_format.PLAIN)
    first = "" if wishes.day_first is None else "day" if wishes.day_first else "month"
    dates = date_format.find(texts, first)
    if dates is None:
        if name in wishes.dates:
            raise InputError(
                f"the column '{name}' (prepare.dates) holds no dates that are all written in one way ({_some(texts)}); "
                "write them as 2024-12-31"
            )
        return None
    if dates.example:
        _tell(name, dates.example, f"has the {dates.format.order} first", "prepare.day_first", warn)
    return Column(name, "date", dates.format)


def _words(
    name: str, values: list[str | None], texts: list[str], places: list[str], warn: Callable[[str], None]
) -> Column:
    """A column of categories. Raises InputError where most values are numbers, so that words are mistakes."""
    found = [value for value in values if value is not None]
    words = [value for value in found if number_format.find([value]) is None]
    if 0 < len(words) < len(found) / 2:
        first = next(place for value, place in zip(values, places, strict=True) if value == words[0])
        raise InputError(
            f"{first}, column '{name}': {words[0][:40]!r} is no number, but most values are ({len(words):,} of "
            f"{len(found):,} are not); if it stands for a missing value, name it in prepare.missing; if these "
            "are codes, name the column in prepare.categories"
        )
    if not words:
        warn(
            f"the column '{name}' has numbers that are not all written in one way ({_some(texts)}), so they are taken "
            "as categories; write them alike, or name the column in prepare.categories"
        )
    if len(texts) > IDENTIFIER_VALUES and len(texts) > len(found) / 2:
        warn(
            f"the column '{name}' has {len(texts):,} different values in {len(found):,} rows: if it is an "
            "identifier or free text, name it in prepare.ignore"
        )
    return Column(name, "category")


def _tell_of_counting(name: str, texts: list[str], rows: int, wishes: Wishes, warn: Warn) -> None:
    """A column that counts the rows says where they stand; where these are sorted by labels it gives them away."""
    if len(texts) != rows or rows < COUNTED_ROWS or name in wishes.numbers or not all(text.isdigit() for text in texts):
        return
    if all(int(after) - int(before) == 1 for before, after in itertools.pairwise(texts)):
        warn(
            f"the column '{name}' counts the rows ({_some(texts)}, …): if it only says where a row stands, name it in "
            "prepare.ignore, else in prepare.numbers"
        )


def _tell(name: str, example: str, reading: str, key: str, warn: Warn) -> None:
    warn(
        f"the column '{name}' could be read in two ways, such as {example!r}: it is taken that it {reading}; see {key}"
    )


def _some(texts: list[str]) -> str:
    return ", ".join(repr(text[:20]) for text in texts[:3])
