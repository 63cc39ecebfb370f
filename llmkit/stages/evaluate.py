"""`llmkit evaluate`: model folders and data -> figures, report.json, report.html, card.md, requirements checked."""

import glob
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from llmkit.config import requirements
from llmkit.config.schema import to_data
from llmkit.console.messages import Console
from llmkit.errors import InputError, LlmkitError
from llmkit.fitting import card
from llmkit.plain import Json
from llmkit.report.html import Section
from llmkit.stages import freshness, report_page
from llmkit.store import artifacts, manifests, new_files
from llmkit.store.model_folder import CARD, ModelFolder
from llmkit.tasks import TASKS
from llmkit.tasks.experiment import Experiment

REPORT, COMPARED = "report.html", "compared.html"


def evaluate(
    folders: list[ModelFolder],
    experiment: Experiment,
    *,
    on: list[Path] | None = None,
    keep: bool = False,
    force: bool = False,
    dry_run: bool = False,
    ui: Console | None = None,
) -> Json:
    """Score models on a split of the config's prepared data, or on the files `on`; returns {"models": [metrics]}.

    `keep` writes each report to RUN_DIR/evaluated/NAME, where an unchanged one is not made again. Each row has
    `unmet`: requirements (`evaluate.require`) that its metrics miss. Raises InputError and ConfigError.
    """
    ui = ui or Console(0)
    on = [file for path in on or [] for file in _files(path)]
    prepared = None if on else read_data(folders, experiment)
    rows = [_row(folder, experiment, prepared, on, keep, force, dry_run, ui) for folder in folders]
    ui.close()
    if keep and not on and not dry_run and len(rows) > 1:
        _keep_comparison(rows, experiment)
    for row in rows:
        if not dry_run:
            row["unmet"] = requirements.unmet(experiment.settings.evaluate.require, row)
    return {"stage": "evaluate", "models": rows}


def _keep_comparison(rows: list[Json], experiment: Experiment) -> None:
    """RUN_DIR/evaluated/compared.html, the models of the command side by side."""
    place = experiment.run_dir / "evaluated" / COMPARED
    page = report_page.comparison(rows, experiment.task.evaluate.TABLE, experiment.task.name)
    with artifacts.writing(place, everything=True):
        new_files.write_text(place, page, errors="backslashreplace")


def _files(path: Path) -> list[Path]:
    """The file of that name, else those in the folder, else those that the glob finds. Raises InputError for none."""
    if path.is_file():
        return [path]
    pattern = os.path.join(glob.escape(str(path)), "**", "*") if path.is_dir() else str(path)
    found = [Path(name) for name in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(name)]
    if not found:
        problem = "there is no file in this folder" if path.is_dir() else "there is no such file"
        raise InputError(f"--on {path}: {problem}; name a file, a folder or a glob")
    return found


def _row(
    folder: ModelFolder,
    experiment: Experiment,
    prepared: artifacts.Artifact | None,
    on: list[Path],
    keep: bool,
    force: bool,
    dry_run: bool,
    ui: Console,
) -> Json:
    settings = {key: value for key, value in to_data(experiment.settings.evaluate).items() if key != "require"}
    parents = {"model": folder.artifact.hash} | ({"prepared": prepared.hash} if prepared else {})
    about_it = {"card": to_data(experiment.settings.card)} if experiment.settings.card else {}
    wanted = freshness.Wanted("evaluate", {"evaluate": settings, **about_it}, experiment.settings.seed, parents)
    place = experiment.run_dir / "evaluated" / folder.name
    about = {"name": folder.name, "model": str(folder.path)}
    why = ["it is not kept"]
    if keep and not on:
        found, why = freshness.reasons(place, wanted)
        if found and not why and not force:
            return about | {"up_to_date": True} | found.read_json("report.json")
    if dry_run:
        return about | {"dry_run": True, "would_run": why or ["--force"]}
    keeps = keep and not on
    metrics, sections = _measured(folder, experiment, prepared, on, keeps, ui)
    if keeps:
        with artifacts.building(place) as building:
            text = json.dumps(manifests.plain(metrics), indent=2) + "\n"
            new_files.write_text(building.path / "report.json", text, errors="backslashreplace")
            page = report_page.page(folder, prepared, metrics, sections)
            new_files.write_text(building.path / REPORT, page, errors="backslashreplace")
            data = [f"On the prepared data whose manifest.json has the SHA-256 {prepared.hash}."] if prepared else []
            text = card.evaluated(folder, experiment.settings, data, manifests.plain(metrics))
            new_files.write_text(building.path / CARD, text, errors="backslashreplace")
            building.finish(**wanted.identity, task=folder.task)
    return about | metrics


def _measured(
    folder: ModelFolder,
    experiment: Experiment,
    prepared: artifacts.Artifact | None,
    on: list[Path],
    with_report: bool,
    ui: Console,
) -> tuple[Json, list[Section]]:
    """Examples -> (metrics, sections of the report), the task's affair: of a split, else of the files `on`."""
    task, report, settings = TASKS[folder.task].evaluate, TASKS[folder.task].report, experiment.settings
    with new_files.temporary_folder(folder.artifact.manifest.get("encryption", ())) as work:
        if prepared is None:
            examples = task.of_files(folder, on, settings, work, ui.progress, ui.warn)
            return task.metrics(folder, examples, settings, ui.progress, ui.warn), []
        with _explained(prepared) if experiment.of_folder else nullcontext():
            examples = task.of_split(folder, prepared, settings.evaluate.split)
            metrics = task.metrics(folder, examples, settings, ui.progress, ui.warn)
            return metrics, report.sections(folder, examples, settings) if report and with_report else []


@contextmanager
def _explained(prepared: artifacts.Artifact) -> Iterator[None]:
    """Errors of prepared data that lies beside a model folder, and may be somebody else's too, as an InputError."""
    try:
        yield
    except LlmkitError:
        raise
    except Exception as error:
        raise InputError(
            f"{prepared.path} does not hold what this model was trained on ({type(error).__name__}: {error}); score "
            "other data with --on FILE"
        ) from error


def read_data(folders: list[ModelFolder], experiment: Experiment) -> artifacts.Artifact:
    """The prepared data that all the models were trained on. Raises InputError when there is none, or another."""
    place = experiment.run_dir / "prepared"
    if not place.exists() and not place.with_name("prepared.old").exists():
        make = "name the config" if experiment.of_folder else f"run: {experiment.command('prepare')}"
        raise InputError(f"{place} is missing; {make}, or score other data with --on FILE")
    if experiment.of_folder:
        prepared = artifacts.read(place, stage="prepare")
        if prepared.manifest["task"] != experiment.task.name:
            raise InputError(f"{place} was prepared for another task; score other data with --on FILE")
    else:
        prepared = freshness.read_prepared(experiment)
    again = "train it again" if experiment.of_folder else f"run: {experiment.command('train')}"
    for folder in folders:
        trained_on = data_hash(folder)
        if trained_on is not None and trained_on != prepared.hash:
            raise InputError(
                f"{folder.path} was trained on other data than {place} holds now (its test split may have been "
                f"trained on); score with --on FILE, or {again}"
            )
    return prepared


def data_hash(folder: ModelFolder) -> str | None:
    """Hash of the prepared data that a model, or the model it was compressed from, was trained on."""
    manifest = folder.artifact.manifest
    return manifest["parents"].get("prepared") or manifest["result"].get("prepared")
