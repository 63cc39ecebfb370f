"""`llmkit generate`: a model folder -> texts, predictions or pictures, kept in RUN_DIR/generated with a config."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmkit import tasks
from llmkit.config.schema import Section, to_data
from llmkit.console.messages import Console
from llmkit.store import artifacts
from llmkit.store.model_folder import ModelFolder

NO_RUN_DIR = "generated"  # folder for files where there is no RUN_DIR


def generate(
    folder: ModelFolder,
    settings: Section,
    *,
    seed: int = 1,
    keep_in: Any = None,
    emit: Callable[[str], None] | None = None,
    ui: Console | None = None,
) -> dict[str, Any]:
    """Use a model by the section `generate`; returns the task's result (texts / predictions / files and speed).

    `keep_in`: RUN_DIR, where the result is written to generated/; None keeps nothing. `emit` gets pieces as they come.
    Files that a task makes go to generated/ too or, where `settings.to` names one or there is no RUN_DIR, to a folder
    of the user's, where those of the same names are replaced, and what is in generated/ stays; `files` are their paths.
    """
    ui = ui or Console(0)
    result = tasks.module(folder.task, "generate").generate(folder, settings, seed, emit, ui.warn)
    contents: dict[str, bytes] = result.pop("contents", {})  # of the files that a task makes, by name
    to = getattr(settings, "to", None) or (None if keep_in else NO_RUN_DIR)
    if contents:
        place = Path(to) if to else keep_in / "generated"
        result["files"] = [str(place / name) for name in contents]
        if to:
            _write(contents, place)
    if keep_in is not None and not (contents and to):
        with artifacts.building(keep_in / "generated") as building:
            text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
            (building.path / "result.json").write_text(text, encoding="utf-8")
            for name, data in contents.items():
                (building.path / name).write_bytes(data)
            building.finish(
                stage="generate",
                task=folder.task,
                settings={"generate": to_data(settings)},
                seed=seed,
                parents={"model": folder.artifact.hash},
            )
    return {"stage": "generate", "model": str(folder.path), **result}


def _write(contents: dict[str, bytes], place: Path) -> None:
    artifacts.make_folder(place)
    with artifacts.writing(place, everything=True):
        for name, data in contents.items():
            (place / name).write_bytes(data)
