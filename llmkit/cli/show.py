"""Results for people: what a stage returned, as lines and tables on standard output (`--json` prints the dict)."""

import sys
from pathlib import Path
from typing import Any

from llmkit import tasks

Columns = list[tuple[str, str, bool | None]]
BEST_TRIALS = 5  # shown of a search


def dry_run(result: dict[str, Any]) -> None:
    """What would run, and why; what a short probe expects it to take."""
    for row in result.get("models", [result]):
        name = f" {row['name']}" if "name" in row else ""
        if row.get("up_to_date"):
            print(f"{result['stage']}{name}: up to date")
        else:
            print(f"{result['stage']}{name} would run: {'; '.join(row['would_run'])}")
    _pairs(
        {
            key: result[key]
            for key in (
                "goes_on_from_step",
                "steps",
                "epochs",
                "minutes",
                "folds",
                "memory_bytes",
                "parameters",
                "trials",
                "trial_minutes",
            )
            if key in result
        }
    )
    for sentence in result.get("too_small", []):
        print(f"  too small: {sentence}")


def figures(result: dict[str, Any]) -> None:
    """One result: where it lies, then figure by figure."""
    state = "up to date" if result.get("up_to_date") else "done"
    print(f"{result['stage']}: {state}  {result.get('folder', '')}".rstrip())
    _pairs({key: value for key, value in result.items() if key not in ("stage", "folder", "up_to_date")})


def trials(result: dict[str, Any]) -> None:
    """The search's best trials and the config's own settings, then the figures of the model trained with the best."""
    rows = sorted(result["trials"], key=lambda row: (row["state"] != "complete", row["val_loss"] or 0))
    shown = [row for place, row in enumerate(rows) if place < BEST_TRIALS or row.get("own")]
    keys = list(rows[0]["settings"])
    lines = [
        [
            f"{row['trial']} (own)" if row.get("own") else str(row["trial"]),
            row["state"],
            number(row["val_loss"]),
            *(number(row["settings"].get(key)) for key in keys),
        ]
        for row in shown
    ]
    table(["trial", "state", "val_loss", *keys], lines)
    if len(shown) < len(rows):
        print(f"and {len(rows) - len(shown)} more in {Path(result['folder'], 'trials.jsonl')}")
    figures({key: value for key, value in result.items() if key != "trials"})


def compressed(result: dict[str, Any]) -> None:
    """The variants beside the original."""
    rows = [result["original"], *result["models"]]
    if any("would_run" in row for row in rows):
        return dry_run(result)
    first = rows[0]
    speed = next((key for key in first if key.endswith("_per_second") and not key.startswith("scored")), None)
    lines = []
    for row in rows:
        if "unmet" in row:
            lines.append([row["name"], "-", "-", "-", "-", "-", "nothing fits"])
            continue
        state = "" if row is first else "up to date" if row.get("up_to_date") else row["folder"]
        lines.append(
            [
                row["name"],
                size(row["size_bytes"]),
                f"{first['size_bytes'] / row['size_bytes']:.2f}×",
                f"{row['val_loss']:.4f}",
                f"{100 * (row['val_loss'] / first['val_loss'] - 1):+.2f} %",
                number(row.get(speed)),
                state,
            ]
        )
    heading = (speed or "").replace("_per_second", "/s")
    table(["model", "size", "smaller", "val_loss", "change", heading, ""], lines)
    for row in rows:
        if "candidates" in row:
            print(f"\n{row['name']}: the candidates of the budget")
            candidates(row["candidates"])


def candidates(rows: list[dict[str, Any]]) -> None:
    """What a budget tried; a star for those that no other beats in size, speed and loss."""
    speed = next(key for key in rows[0] if key.startswith("ms_per_"))
    lines = [
        [
            row["name"],
            size(row["size_bytes"]),
            f"{row['times_smaller']:.2f}×",
            f"{row['val_loss']:.4f}",
            f"{row['val_loss_increase_percent']:+.2f} %",
            number(row[speed]),
            f"{row['times_faster']:.2f}×",
            number(row["load_ms"]),
            "*" if row["pareto"] else "",
            "chosen" if row.get("chosen") else "fits" if row["fits"] else "",
        ]
        for row in rows
    ]
    heads = ["candidate", "size", "smaller", "val_loss", "change", speed, "faster", "load_ms", "front", ""]
    table(heads, lines)


def evaluated(result: dict[str, Any], task: str) -> None:
    """Models side by side, each figure relative to the first model's; a single model figure by figure."""
    rows = result["models"]
    if len(rows) == 1:
        row = {key: value for key, value in rows[0].items() if key not in ("model", "unmet")}
        return figures({"stage": "evaluate", "folder": rows[0]["model"], **row})
    columns: Columns = [
        column for column in tasks.module(task, "evaluate").TABLE if any(row[column[0]] is not None for row in rows)
    ]
    lines = []
    unique = len({row["name"] for row in rows}) == len(rows)
    for row in rows:
        line = [row["name"] if unique else row["model"]]
        for key, _, less_is_better in columns:
            shown = size(row[key]) if key == "size_bytes" else number(row[key])
            if row is not rows[0] and rows[0][key]:
                shown += _relative(row[key], rows[0][key], less_is_better and key == "size_bytes")
            line.append(shown)
        lines.append(line)
    table(["model", *(heading for _, heading, _ in columns)], lines)


def _relative(value: float, first: float, inverse: bool | None) -> str:
    ratio = value / first
    if inverse:
        return f" ({first / value:.2f}× smaller)"
    return f" ({100 * (ratio - 1):+.2f} %)" if 0.8 < ratio < 1.25 else f" ({ratio:.2f}×)"


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


def _pairs(values: dict[str, Any], indent: str = "  ") -> None:
    flat = {key: value for key, value in values.items() if not isinstance(value, dict | list)}
    width = max((len(key) for key in flat), default=0)
    for key, value in flat.items():
        shown = f"{size(value)} ({value:,})" if key.endswith("_bytes") and value is not None else number(value)
        print(f"{indent}{key.ljust(width)}  {shown}")
    for key, value in values.items():
        if key == "folds" and isinstance(value, list):
            columns = list(dict.fromkeys(name for inner in value for name in inner))
            print(f"{indent}{key}:")
            table(columns, [[number(inner.get(column)) for column in columns] for inner in value])
        elif isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
            rows = list(value.items())
            columns = list(dict.fromkeys(name for _, inner in rows for name in inner))
            if key == "splits":  # a manifest that was read has its keys in alphabetical order
                from llmkit.data.splits import SPLITS  # with numpy, which nothing else here needs

                rows.sort(key=lambda row: SPLITS.index(row[0]))
                columns.sort(key=lambda column: column != "examples")
            print(f"{indent}{key}:")
            table(
                [" " * 4, *columns],
                [["    " + name, *(number(inner.get(column)) for column in columns)] for name, inner in rows],
            )
        elif isinstance(value, dict) and value:
            print(f"{indent}{key}:")
            _pairs(value, indent + "  ")
