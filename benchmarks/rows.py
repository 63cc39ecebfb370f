"""The rows of a benchmark's table: finished ones are kept in a file, the others measured."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmkit.store import artifacts

Row = dict[str, Any]


def measured(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, measures: dict[str, Callable[[], Row]], folder: Path
) -> dict[str, Row]:
    """All rows that are finished in the end, in the order of `measures`; with `--only` no other is measured.

    A row that folder/results.json has is taken from there, unless `--again`; what is measured is written at once.
    Ends the program where `--only` names no row.
    """
    if arguments.only and arguments.only not in measures:
        parser.error(f"--only {arguments.only}: there are {', '.join(measures)}")
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.json"
    rows: dict[str, Row] = json.loads(results.read_text()) if results.exists() else {}
    for name in [arguments.only] if arguments.only else measures:
        if arguments.again or name not in rows:
            rows[name] = measures[name]()
            artifacts.write_json(results, rows)
    return {name: rows[name] for name in measures if name in rows}


def asked(rows: dict[str, Row], only: str | None) -> dict[str, Row]:
    """The row of `--only`, else all."""
    return {name: row for name, row in rows.items() if only in (None, name)}
