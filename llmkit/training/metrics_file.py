"""metrics.jsonl: one line per validation, `step` first."""

import json
from collections.abc import Mapping
from pathlib import Path

from llmkit.plain import Json
from llmkit.store import artifacts, encryption, new_files
from llmkit.store.files import Files, read_live

NAME = "metrics.jsonl"


def append(path: Path, record: Mapping[str, object]) -> None:
    """Add a line."""
    line = json.dumps(record) + "\n"
    if encryption.recipients_of(path):  # a whole file each time: there is a line for each validation only
        return artifacts.write_bytes(path, (read_live(path) if path.exists() else b"") + line.encode())
    with artifacts.writing(path), path.open("a", encoding="utf-8") as file:
        file.write(line)


def restore(path: Path, checkpoint: Files | None) -> None:
    """Put the lines back that a checkpoint has a copy of, or none: the run writes the later ones again."""
    artifacts.write_bytes(path, checkpoint.read_bytes(NAME) if checkpoint else b"")


def copy_without_clock(source: Path, target: Path) -> None:
    """Copy for a model folder, without `seconds`: the same training gives the same bytes."""
    lines = [
        json.dumps({key: value for key, value in record.items() if key != "seconds"}) for record in records(source)
    ]
    new_files.write_text(target, "".join(line + "\n" for line in lines))


def records(path: Path) -> list[Json]:
    """The lines of a metrics.jsonl."""
    found = []
    for line in read_live(path).decode("utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break  # torn by a crash; nothing after it can be trusted
    return found
