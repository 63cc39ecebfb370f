"""Tables and the figures in them, as text: on standard output for people, in Markdown for files.

Enters: headings and lines of cells, all of them text. What is in a table is the business of whoever prints it.
"""

import sys
from collections.abc import Collection, Iterable
from typing import NamedTuple

from llmkit.console import terminal


class Column(NamedTuple):
    """A column of the table that compares models: a metric, its heading, whether less is better (None: neither)."""

    metric: str
    heading: str
    less_is_better: bool | None


def table(headings: list[str], lines: list[list[str]]) -> None:
    """Print a table: drawn by rich on a terminal, in aligned columns elsewhere. A cell is one line."""
    headings, *lines = [[terminal.line(cell) for cell in row] for row in (headings, *lines)]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text  # a cell as it is: in a str rich reads [words] as its markup

        drawn = Table()
        for heading in headings:
            drawn.add_column(Text(heading))
        for line in lines:
            drawn.add_row(*map(Text, line))
        Console().print(drawn, highlight=False)
        return
    widths = [max(len(row[i]) for row in [headings, *lines]) for i in range(len(headings))]
    for row in [headings, ["-" * width for width in widths], *lines]:
        terminal.show("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def markdown(headings: list[str], lines: Iterable[list[str]], right: Collection[int] = ()) -> list[str]:
    """The lines of a Markdown table; `right`: the numbers of the columns that are aligned to the right."""
    rule = ["---:" if column in right else "---" for column in range(len(headings))]
    return ["| " + " | ".join(cells) + " |" for cells in (headings, rule, *lines)]


def number(value: object) -> str:
    """A figure with as many digits as a person reads; - for None."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) >= 0.01 or value == 0 else f"{value:.3g}"


def size(value: float) -> str:
    """Bytes as MB or kB (millions and thousands of bytes)."""
    return f"{value / 1e6:.2f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"
