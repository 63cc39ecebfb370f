"""`llmkit generate`: a model folder -> texts, predictions or pictures, kept in RUN_DIR/generated with a config.

Three steps in every task: requests (from options, files, standard input) -> answers (of a loaded model) -> shown, which
is the command line's affair.
"""

import json
from collections.abc import Callable
from pathlib import Path

from llmkit.config.schema import Section, to_data
from llmkit.console.messages import Console
from llmkit.plain import Json
from llmkit.store import artifacts, new_files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks import TASKS
from llmkit.tasks.contract import Answers

NO_RUN_DIR = "generated"  # folder for files where there is no RUN_DIR


def generate(
    folder: ModelFolder,
    settings: Section,
    *,
    seed: int = 1,
    keep_in: Path | None = None,
    emit: Callable[[str], None] | None = None,
    ui: Console | None = None,
) -> Json:
    """Use a model by the section `generate`; returns the task's result (texts / predictions / files and speed).

    `keep_in`: RUN_DIR, where the result is written to generated/; None keeps nothing. `emit` gets pieces as they come.
    Files that a task makes go to generated/ too or, where `settings.to` names one or there is no RUN_DIR, to a folder
    of the user's, where those of the same names are replaced, and what is in generated/ stays; `files` are their paths.
    """
    ui, task = ui or Console(0), TASKS[folder.task]
    requests = task.generate.requests(settings, folder)
    answers = task.generate.answer(task.use.load(folder), requests, settings, seed, ui.warn, emit)
    result = dict(answers.result)
    elsewhere = Path(answers.to or NO_RUN_DIR) if answers.to or keep_in is None else None
    if answers.files:
        place = elsewhere or Path(keep_in or ".", "generated")
        result["files"] = [str(place / name) for name in answers.files]
        if elsewhere:
            _write(answers.files, elsewhere)
    if keep_in is not None and not (answers.files and elsewhere):
        _keep(Answers(result, answers.files), folder, settings, seed, keep_in / "generated")
    return {"stage": "generate", "model": str(folder.path), **result}


def _keep(answers: Answers, folder: ModelFolder, settings: Section, seed: int, place: Path) -> None:
    """Put result and files into RUN_DIR/generated."""
    with artifacts.building(place) as building:
        text = json.dumps(answers.result, indent=2, ensure_ascii=False) + "\n"
        new_files.write_text(building.path / "result.json", text, errors="backslashreplace")
        for name, data in answers.files.items():
            new_files.write_bytes(building.path / name, data)
        building.finish(
            stage="generate",
            task=folder.task,
            settings={"generate": to_data(settings)},
            seed=seed,
            parents={"model": folder.artifact.hash},
        )


def _write(files: dict[str, bytes], place: Path) -> None:
    artifacts.make_folder(place)
    with artifacts.writing(place, everything=True):
        for name, data in files.items():
            new_files.write_bytes(place / name, data)
