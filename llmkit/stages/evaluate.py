"""`llmkit evaluate`: model folders and data -> figures, RUN_DIR/evaluated/NAME/report.json, requirements checked."""

import glob
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from llmkit import tasks
from llmkit.config import requirements as evaluation
from llmkit.config.schema import Config, to_data
from llmkit.console.messages import Console
from llmkit.errors import InputError
from llmkit.stages import freshness
from llmkit.store import artifacts
from llmkit.store.model_folder import ModelFolder


def evaluate(
    folders: list[ModelFolder],
    config: Config,
    *,
    on: list[Path] | None = None,
    keep: bool = False,
    force: bool = False,
    dry_run: bool = False,
    ui: Console | None = None,
) -> dict[str, Any]:
    """Score models on a split of the config's prepared data, or on the files `on`; returns {"models": [figures]}.

    `keep` writes each report to RUN_DIR/evaluated/NAME, where an unchanged one is not made again. Each row has
    `unmet`: requirements (`evaluate.require`) that its figures miss. Raises InputError and ConfigError.
    """
    ui = ui or Console(0)
    on = [file for path in on or [] for file in _files(path)]
    prepared = None if on else read_data(folders, config)
    rows = [_row(folder, config, prepared, on, keep, force, dry_run, ui) for folder in folders]
    ui.close()
    for row in rows:
        if not dry_run:
            row["unmet"] = evaluation.unmet(config.settings.evaluate.require, row)
    return {"stage": "evaluate", "models": rows}


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
    config: Config,
    prepared: artifacts.Artifact | None,
    on: list[Path],
    keep: bool,
    force: bool,
    dry_run: bool,
    ui: Console,
) -> dict[str, Any]:
    settings = {key: value for key, value in to_data(config.settings.evaluate).items() if key != "require"}
    parents = {"model": folder.artifact.hash} | ({"prepared": prepared.hash} if prepared else {})
    wanted = freshness.Wanted("evaluate", {"evaluate": settings}, config.settings.seed, parents)
    place = config.run_dir / "evaluated" / folder.name
    about = {"name": folder.name, "model": str(folder.path)}
    why = ["it is not kept"]
    if keep and not on:
        found, why = freshness.reasons(place, wanted)
        if found and not why and not force:
            return about | {"up_to_date": True} | artifacts.read_json(place / "report.json")
    if dry_run:
        return about | {"dry_run": True, "would_run": why or ["--force"]}
    task = tasks.module(folder.task, "evaluate")
    with tempfile.TemporaryDirectory(prefix="llmkit-") as work:
        figures = task.evaluate(
            folder, prepared.path if prepared else None, config.settings, on, Path(work), ui.progress, ui.warn
        )
    if keep and not on:
        with artifacts.building(place) as building:
            (building.path / "report.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
            building.finish(
                stage="evaluate", task=folder.task, settings=wanted.settings, seed=wanted.seed, parents=parents
            )
    return about | figures


def read_data(folders: list[ModelFolder], config: Config) -> artifacts.Artifact:
    """The prepared data that all the models were trained on. Raises InputError when there is none, or another."""
    place = config.run_dir / "prepared"
    if not place.exists() and not place.with_name("prepared.old").exists():
        raise InputError(f"{place} is missing; run: {config.command('prepare')}, or score other data with --on FILE")
    prepared = freshness.read_prepared(config)
    for folder in folders:
        trained_on = data_hash(folder)
        if trained_on is not None and trained_on != prepared.hash:
            raise InputError(
                f"{folder.path} was trained on other data than {place} holds now (its test split may have been "
                f"trained on); score with --on FILE, or run: {config.command('train')}"
            )
    return prepared


def data_hash(folder: ModelFolder) -> str | None:
    """Hash of the prepared data that a model, or the model it was compressed from, was trained on."""
    manifest = folder.artifact.manifest
    return manifest["parents"].get("prepared") or manifest["result"].get("prepared")
