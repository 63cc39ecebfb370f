"""Figures, sizes and tables as text, by hand; what a terminal and what a file get."""

import re
import sys

import pytest

from llmkit.console import tables


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (True, "True"),
        ("relu", "relu"),
        (7, "7"),
        (1234567, "1,234,567"),
        (1234.6, "1,235"),
        (999.5, "999.5000"),
        (-2.5, "-2.5000"),
        (0.0, "0.0000"),
        (0.01, "0.0100"),
        (0.0012345, "0.00123"),
    ],
)
def test_a_number_has_as_many_digits_as_a_person_reads(value, shown):
    assert tables.number(value) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0.0 kB"), (99_940, "99.9 kB"), (100_000, "0.10 MB"), (2.345e9, "2345.00 MB")],
)
def test_a_size_is_in_kilobytes_below_a_tenth_of_a_megabyte(size, shown):
    assert tables.size(size) == shown


def test_columns_are_as_wide_as_their_widest_cell(capsys):
    tables.table(["model", "size", ""], [["a", "1.0 kB", ""], ["longer name", "2.34 MB", "up to date"]])
    assert capsys.readouterr().out == (
        "model        size\n-----------  -------  ----------\na            1.0 kB\nlonger name  2.34 MB  up to date\n"
    )


@pytest.mark.parametrize("cell", ["plain", "[a]", "[bold]x", "x [/b]"])
def test_a_terminal_gets_a_drawn_table_with_every_cell_as_it_is(capsys, monkeypatch, cell):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    tables.table(["model", "[size]"], [[cell, "1.0 kB"]])
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)  # without colours
    assert re.search(r"┃ model +┃ \[size\] ┃", out)
    assert re.search(rf"│ {re.escape(cell)} +│ 1.0 kB +│", out)


def test_a_table_in_markdown():
    lines = tables.markdown(["name", "MB", "marks"], [["a", "1.5", ""], ["b", "20.0", "fits"]], right=[1])
    assert lines == ["| name | MB | marks |", "| --- | ---: | --- |", "| a | 1.5 |  |", "| b | 20.0 | fits |"]
