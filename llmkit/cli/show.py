"""What a stage returned, on standard output: one JSON object, or lines and tables for people."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from llmkit.console import candidates, tables, terminal
from llmkit.console.messages import Console
from llmkit.errors import RequirementError
from llmkit.plain import Json

Shows = Callable[[Json], None]
MOST_LABELS = 12  # of a confusion table on a terminal
MOST_MISTAKES = 15
BEST_TRIALS = 5  # shown of a search


def print_result(result: Json, as_json: bool, for_people: Shows | None = None) -> None:
    """Print what a stage returned; for people by default what would run, or figure by figure."""
    if as_json:
        return print_json(result)
    (for_people or (dry_run if result.get("dry_run") else figures))(result)


def print_required(unmet: list[str], result: Json, as_json: bool, for_people: Shows) -> None:
    """Print a result with `models`, then the requirements that it misses, which end the command (raises typer.Exit)."""
    error = RequirementError("a requirement is not met: " + "; ".join(unmet)) if unmet else None
    if as_json:
        print_json(flat(result) | ({"error": {"code": error.exit_code, "message": str(error)}} if error else {}))
    else:
        for_people(result)
    if error:
        Console().error(str(error))
        raise typer.Exit(error.exit_code)


def flat(result: Json) -> Json:
    """One model's figures at the top level; several stay in `models`."""
    if len(result["models"]) != 1:
        return result
    rest = {key: value for key, value in result.items() if key != "models"}
    return rest | {key: value for key, value in result["models"][0].items() if key != "unmet"} | rest


def print_json(result: Json) -> None:
    """Print one JSON object."""
    from llmkit.store import manifests

    text = json.dumps(manifests.plain(result), ensure_ascii=False, allow_nan=False)
    terminal.write(
        text.encode("utf-8", "backslashreplace").decode()
    )  # \udcff of an undecodable file name, as JSON escapes it


# --- for people -------------------------------------------------------------------------------------------------


def dry_run(result: Json) -> None:
    """What would run, and why; what a short probe expects it to take."""
    for row in result.get("models", [result]):
        name = f" {row['name']}" if "name" in row else ""
        if row.get("up_to_date"):
            terminal.show(f"{result['stage']}{name}: up to date")
        else:
            terminal.show(f"{result['stage']}{name} would run: {'; '.join(row['would_run'])}")
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
        terminal.show(f"  too small: {sentence}")


def figures(result: Json) -> None:
    """One result: where it lies, then figure by figure."""
    state = "up to date" if result.get("up_to_date") else "done"
    terminal.show(f"{result['stage']}: {state}  {result.get('folder', '')}".rstrip())
    _pairs({key: value for key, value in result.items() if key not in ("stage", "folder", "up_to_date")})


def trials(result: Json) -> None:
    """The search's best trials and the config's own settings, then the figures of the model trained with the best."""
    rows = sorted(result["trials"], key=lambda row: (row["state"] != "complete", row["val_loss"] or 0))
    shown = [row for place, row in enumerate(rows) if place < BEST_TRIALS or row.get("own")]
    keys = list(rows[0]["settings"])
    lines = [
        [
            f"{row['trial']} (own)" if row.get("own") else str(row["trial"]),
            row["state"],
            tables.number(row["val_loss"]),
            *(tables.number(row["settings"].get(key)) for key in keys),
        ]
        for row in shown
    ]
    tables.table(["trial", "state", "val_loss", *keys], lines)
    if len(shown) < len(rows):
        terminal.show(f"and {len(rows) - len(shown)} more in {Path(result['folder'], 'trials.jsonl')}")
    figures({key: value for key, value in result.items() if key != "trials"})


def compressed(result: Json) -> None:
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
                tables.size(row["size_bytes"]),
                f"{first['size_bytes'] / row['size_bytes']:.2f}×",
                f"{row['val_loss']:.4f}",
                f"{row.get('val_loss_increase_percent', 0.0):+.2f} %",
                tables.number(row.get(speed)),
                state,
            ]
        )
    heading = (speed or "").replace("_per_second", "/s")
    tables.table(["model", "size", "smaller", "val_loss", "change", heading, ""], lines)
    for row in rows:
        if "candidates" in row:
            terminal.show(f"\n{row['name']}: the candidates of the budget")
            candidates.show(row["candidates"])


def evaluated(result: Json) -> None:
    """The figures of a single model."""
    [row] = result["models"]
    shown = {key: value for key, value in row.items() if key not in ("model", "unmet")}
    figures({"stage": "evaluate", "folder": row["model"], **shown})


def compared(result: Json, columns: Sequence[tables.Column]) -> None:
    """Models side by side in the columns of their task, each figure relative to the first model's."""
    rows = result["models"]
    columns = [column for column in columns if any(row.get(column[0]) is not None for row in rows)]
    lines = []
    unique = len({row["name"] for row in rows}) == len(rows)
    for row in rows:
        line = [row["name"] if unique else row["model"]]
        for key, _, less_is_better in columns:
            value, first = row.get(key), rows[0].get(key)
            shown = tables.size(value) if key == "size_bytes" else tables.number(value)
            if row is not rows[0] and value is not None and first:
                shown += _relative(value, first, less_is_better and key == "size_bytes")
            line.append(shown)
        lines.append(line)
    tables.table(["model", *(heading for _, heading, _ in columns)], lines)


def _relative(value: float, first: float, inverse: bool | None) -> str:
    ratio = value / first
    if inverse:
        return f" ({first / value:.2f}× smaller)"
    return f" ({100 * (ratio - 1):+.2f} %)" if 0.8 < ratio < 1.25 else f" ({ratio:.2f}×)"


def _confusion(counts: dict[str, dict[str, int]]) -> None:
    """A row for each true label; of many labels the most frequent mistakes alone."""
    if len(counts) <= MOST_LABELS:
        columns = list(counts)
        lines = [["    " + name, *(str(row[column]) for column in columns)] for name, row in counts.items()]
        return tables.table(["    true ↓  predicted →", *columns], lines)
    mistakes = [(n, true, said) for true, row in counts.items() for said, n in row.items() if n and said != true]
    lines = [
        ["    " + true, said, str(n)] for n, true, said in sorted(mistakes, key=lambda one: -one[0])[:MOST_MISTAKES]
    ]
    tables.table(["    true", "predicted", "examples"], lines)
    pairs = f"{len(mistakes):,} mistaken pairs of {len(counts):,} labels"
    terminal.show(f"    the most frequent of {pairs}; all with --json")


def _pairs(values: Json, indent: str = "  ") -> None:
    single = {key: value for key, value in values.items() if not isinstance(value, dict | list)}
    width = max((len(key) for key in single), default=0)
    for key, value in single.items():
        shown = tables.number(value)
        if key.endswith("_bytes") and value is not None:
            shown = f"{tables.size(value)} ({value:,})"
        terminal.show(f"{indent}{key.ljust(width)}  {shown}")
    for key, value in values.items():
        if key == "folds" and isinstance(value, list):
            columns = list(dict.fromkeys(name for inner in value for name in inner))
            terminal.show(f"{indent}{key}:")
            tables.table(columns, [[tables.number(inner.get(column)) for column in columns] for inner in value])
        elif key == "words":
            terminal.show(f"{indent}{key} that speak most for each label:")
            for label, words in value.items():
                terminal.show(f"{indent}  {label}: {', '.join(word['word'] for word in words)}")
        elif key == "confusion":
            terminal.show(f"{indent}{key} (true label: predicted labels):")
            _confusion(value)
        elif isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
            rows = list(value.items())
            columns = list(dict.fromkeys(name for _, inner in rows for name in inner))
            if key == "splits":  # a manifest that was read has its keys in alphabetical order
                from llmkit.data.splits import SPLITS  # with numpy, which nothing else here needs

                rows.sort(key=lambda row: SPLITS.index(row[0]))
                columns.sort(key=lambda column: column != "examples")
            terminal.show(f"{indent}{key}:")
            tables.table(
                [" " * 4, *columns],
                [["    " + name, *(tables.number(inner.get(column)) for column in columns)] for name, inner in rows],
            )
        elif isinstance(value, dict) and value:
            terminal.show(f"{indent}{key}:")
            _pairs(value, indent + "  ")
