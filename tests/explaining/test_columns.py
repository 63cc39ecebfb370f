"""Rows with typical values in place of their own."""

import numpy as np

from llmkit.data import encoding
from llmkit.data.columns import Column, Rows
from llmkit.data.date_format import DateFormat
from llmkit.explaining import columns

COLUMNS = [Column("size", "number"), Column("day", "date", DateFormat("year", False)), Column("town", "category")]
ROWS = Rows(
    np.array([[1.0, 10.0, 5.0], [2.0, 20.0, 6.0], [9.0, 30.0, 7.0]]),
    np.array([["1", "2", "a"], ["1", "3", "b"], ["4", "3", "b"]], object),
)


def test_a_column_of_dates_is_one_part_and_the_baseline_is_a_typical_row() -> None:
    learnt = encoding.learn(ROWS, COLUMNS, "standard", [""])
    [puzzle] = columns.puzzles(learnt, ROWS.take(np.array([0])))
    assert [part["column"] for part in puzzle.parts] == ["size", "day", "town"]
    assert puzzle.parts[0] == {"column": "size", "value": 1.0, "baseline": 2.0}
    assert puzzle.parts[1]["value"] == "10, 5, 1, 2" and puzzle.parts[2]["baseline"] == "b"
    shown = puzzle.shown(np.array([[False] * 3, [False, True, False], [True] * 3]))
    assert shown.numbers.tolist() == [[2, 20, 6], [2, 10, 5], [1, 10, 5]]
    assert shown.categories.tolist() == [["1", "3", "b"], ["1", "2", "b"], ["1", "2", "a"]]
    assert puzzle.whole().numbers.tolist() == [[1, 10, 5]]


def test_a_folder_without_medians_takes_what_counts_as_none() -> None:
    assert encoding.Number("size", [[[0.0, 4.0], [-1.0, 1.0]]], False).typical == 2.0
