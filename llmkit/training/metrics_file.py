"""metrics.jsonl: one line per validation, `step` first."""

import json
from collections.abc import Mapping
from pathlib import Path

from llmkit.plain import Json
from llmkit.store import artifacts
from llmkit.store.files import Files

NAME = "metrics.jsonl"


def append(path: Path, record: Mapping[str, object]) -> None:
    """Add a line."""
    with artifacts.writing(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def restore(path: Path, checkpoint: Files | None) -> None:
    """Put the lines back that a checkpoint has a copy of, or none: the run writes the later ones again."""
    artifacts.write_bytes(path, checkpoint.read_bytes(NAME) if checkpoint else b"")


def copy_without_clock(source: Path, target: Path) -> None:
    """Copy for a model folder, without `seconds`: the same training gives the same bytes."""
    lines = [
        json.dumps({key: value for key, value in record.items() if key != "seconds"}) for record in _records(source)
    ]
    target.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _records(path: Path) -> list[Json]:
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break  # torn by a crash; nothing after it can be trusted
    return records
