"""`llmkit generate`: a model folder -> texts, predictions or pictures, kept in RUN_DIR/generated with a config."""

import json
from collections.abc import Callable
from typing import Any

from llmkit import artifacts, tasks
from llmkit.config import Section, to_data
from llmkit.console import Console
from llmkit.model_folder import ModelFolder


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
    """
    ui = ui or Console(0)
    result = tasks.module(folder.task, "write").generate(folder, settings, seed, emit, ui.warn)
    if keep_in is not None:
        with artifacts.building(keep_in / "generated") as building:
            text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
            (building.path / "result.json").write_text(text, encoding="utf-8")
            building.finish(
                stage="generate",
                task=folder.task,
                settings={"generate": to_data(settings)},
                seed=seed,
                parents={"model": folder.artifact.hash},
            )
    return {"stage": "generate", "model": str(folder.path), **result}
