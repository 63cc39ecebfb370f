"""What a budget measured, for people: candidates.md, the table on a terminal and the picture say the same.

Enters: the rows of candidates.json, the original first. `charts.trade_offs` draws them.
"""

from llmkit.console import tables
from llmkit.plain import Json

Row = Json
"""A candidate: name, size_bytes, val_loss, load_ms and one figure ms_per_UNIT; relative to the original's size, speed
and loss times_smaller, times_faster and val_loss_increase_percent; marks, those of `MARKS`. Of one that was made also
fine_tuning_minutes and seconds."""

MARKS = ("chosen", "fits", "pareto")
NOTE = "Measured on this machine; pareto: none is better in size, speed and loss."


def speed(rows: list[Row]) -> str:
    """The name of the rows' figure ms_per_UNIT."""
    return next(key for key in rows[0] if key.startswith("ms_per_"))


def marks(row: Row) -> list[str]:
    """Those of `MARKS` that a row has."""
    return [mark for mark in MARKS if row.get(mark)]


def cells(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """(headings, a line of cells for each row), speeds and losses relative to the original's."""
    per_unit = speed(rows)
    headings = ["candidate", "MB", "smaller", "val_loss", "change"]
    headings += [per_unit.replace("_", " "), "faster", "load ms", "marks"]
    lines = [
        [
            row["name"],
            f"{row['size_bytes'] / 1e6:.3f}",
            f"{row['times_smaller']:.2f}×",
            f"{row['val_loss']:.4f}",
            f"{row['val_loss_increase_percent']:+.2f} %",
            f"{row[per_unit]:.4f}",
            f"{row['times_faster']:.2f}×",
            f"{row['load_ms']:.1f}",
            ", ".join(marks(row)),
        ]
        for row in rows
    ]
    return headings, lines


def markdown(rows: list[Row]) -> str:
    """The text of candidates.md."""
    headings, lines = cells(rows)
    return "\n".join([*tables.markdown(headings, lines, right=range(1, len(headings) - 1)), "", NOTE, ""])


def show(rows: list[Row]) -> None:
    """Print the table."""
    tables.table(*cells(rows))
