"""Tables and numbers as a person reads them, on standard output."""

import sys
from typing import Any


def table(headings: list[str], lines: list[list[str]]) -> None:
    """A table: drawn by rich on a terminal, in aligned columns elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        drawn = Table(*headings)
        for line in lines:
            drawn.add_row(*line)
        Console().print(drawn, highlight=False)
        return
    widths = [max(len(row[i]) for row in [headings, *lines]) for i in range(len(headings))]
    for row in [headings, ["-" * width for width in widths], *lines]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def number(value: Any) -> str:
    """A figure with as many digits as a person reads."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) >= 0.01 or value == 0 else f"{value:.3g}"


def size(value: float) -> str:
    """Bytes as MB or kB."""
    return f"{value / 1e6:.2f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"
