"""The columns of a table's row as parts of a decision: the row with typical values in place of some of its own.

A typical row has the median of each number and the most frequent category of the training rows (`data.encoding`); it is
the baseline. A column of dates, from which several numbers and categories are learnt, is one part.
"""

import math

import numpy as np

from llmkit.data.columns import Column, Rows
from llmkit.data.encoding import Encoding
from llmkit.explaining.explanation import Puzzle
from llmkit.plain import Json

BUDGET = 1024  # rows: so up to ten columns have exact values


def puzzles(learnt: Encoding, rows: Rows) -> list[Puzzle[Rows]]:
    """Each of the rows as its columns, in the order of the table."""
    typical, where = learnt.typical(), places(learnt.columns)
    return [_puzzle(learnt.columns, rows.take(np.array([k])), typical, where) for k in range(len(rows))]


def places(columns: list[Column]) -> list[tuple[slice, slice]]:
    """Of each column its places among the numbers and among the categories of `Rows`."""
    found, numbers, categories = [], 0, 0
    for column in columns:
        ends = numbers + len(column.numbers), categories + len(column.categories)
        found.append((slice(numbers, ends[0]), slice(categories, ends[1])))
        numbers, categories = ends
    return found


def _puzzle(columns: list[Column], row: Rows, typical: Rows, where: list[tuple[slice, slice]]) -> Puzzle[Rows]:
    own_numbers = np.zeros((len(columns), row.numbers.shape[1]), bool)  # which column each belongs to
    own_categories = np.zeros((len(columns), row.categories.shape[1]), bool)
    for k, (numbers, categories) in enumerate(where):
        own_numbers[k, numbers] = True
        own_categories[k, categories] = True

    def shown(masks: np.ndarray) -> Rows:
        numbers = np.where(masks @ own_numbers, row.numbers, typical.numbers)
        return Rows(numbers, np.where(masks @ own_categories, row.categories, typical.categories))

    parts: list[Json] = [
        {"column": column.name, "value": told(row, *place), "baseline": told(typical, *place)}
        for column, place in zip(columns, where, strict=True)
    ]
    return Puzzle("columns", parts, shown, BUDGET)


def told(rows: Rows, numbers: slice, categories: slice) -> float | str | None:
    """A column's value in the first of the rows: a number, a text, None where it is missing."""
    found = [None if math.isnan(value) else float(value) for value in rows.numbers[0, numbers]]
    found += rows.categories[0, categories].tolist()
    return found[0] if len(found) == 1 else ", ".join("-" if part is None else _short(part) for part in found)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
