"""`llmkit train`: RUN_DIR/prepared -> RUN_DIR/model, through checkpoints in RUN_DIR/work/train.

Folders and order only: one training from settings to weights is `llmkit/fitting`.
"""

import io
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from llmkit.console import charts
from llmkit.console.messages import Console, Silent
from llmkit.errors import ConfigError, InputError
from llmkit.fitting import fit, probe, setup as setups, write
from llmkit.fitting.setup import Setup
from llmkit.plain import Json
from llmkit.stages import folds, freshness
from llmkit.store import artifacts, encryption, new_files
from llmkit.store.artifacts import Artifact
from llmkit.tasks.experiment import Experiment
from llmkit.training.distributed import ALONE, Processes


def train(
    experiment: Experiment,
    *,
    force: bool = False,
    fresh: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    ui: Console | None = None,
    processes: Processes = ALONE,
) -> Json:
    """Train the model of a config; returns steps, tokens (or examples), seconds, val_loss, best_step, parameters, …

    Reads RUN_DIR/prepared, writes RUN_DIR/model; goes on from the checkpoints of an interrupted run unless `fresh`.
    Where the task's settings have `train.folds`, a cross-validation comes first (`stages/folds.py`).
    Raises ConfigError, InputError and, when interrupted, Interrupted. Several `processes`, joined by
    `training.distributed`, each call it: the first one does all of this, the others only train along with it.
    """
    if not processes.leads:
        return _train_along(experiment, device, processes)
    ui = ui or Console(0)
    setup = Setup(experiment.settings, freshness.read_prepared(experiment), device, ui, processes)
    place, work = experiment.run_dir / "model", experiment.work
    start = setups.start_folder(setup)
    parents = {"prepared": setup.prepared.hash} | ({"start_from": start.artifact.hash} if start else {})
    wanted = freshness.Wanted("train", setups.deciding(setup.settings), setup.settings.seed, parents)
    present, why = freshness.reasons(place, wanted)
    if present and not why and not force and not fresh:
        return {"stage": "train", "folder": str(place), "up_to_date": True, **freshness.stored(present, work)}
    setups.require_torch()
    from llmkit.training import checkpoint, tensorboard

    tensorboard.require(setup.settings.train.tensorboard)
    if setup.settings.train.tensorboard and encryption.recipients_of(experiment.run_dir):
        raise ConfigError("train.tensorboard: its event files are plain, and encryption is on; set one of the two off")
    if setup.settings.train.folds and processes.count > 1:
        raise ConfigError("train.folds: the folds are trained by one process; start it without torchrun")
    checkpoints = work / "train"
    begins_anew = fresh or bool(present and why and _made(present, checkpoint.ended(checkpoints)))
    if dry_run:
        would_run = why or ["--fresh" if fresh else "--force"]
        expected = _expected(setup, checkpoints, begins_anew)
        return {"stage": "train", "folder": str(place), "dry_run": True, "would_run": would_run, **expected}
    ui.detail(f"making {place}: {'; '.join(why) or '--force or --fresh'}")
    with artifacts.lock(experiment.run_dir, experiment.command("train")):
        if begins_anew:
            checkpoint.drop(checkpoints)
            shutil.rmtree(work / "folds", ignore_errors=True)
        if setup.settings.train.tensorboard:
            ui.info(f"curves: tensorboard --logdir {checkpoints / 'tensorboard'}")
        processes.begin()
        metrics, times = _cross_validation(experiment, setup, work / "folds")
        fitted = fit.fit(setup, checkpoints)
        fitted = replace(fitted, result=fitted.result | metrics, timings=fitted.timings | times)
        with artifacts.building(place) as folder:
            artifact = write.write_model(folder, experiment, fitted, setup.prepared, wanted.identity)
        for line in fitted.warnings:
            ui.warn(line)
        freshness.store_timings(artifact, work, fitted.timings)
        checkpoint.drop(checkpoints)  # what is there is always an interrupted run
        shutil.rmtree(work / "folds", ignore_errors=True)
        _draw(fitted.metrics_file, checkpoints / "loss.png", ui)
    return {"stage": "train", "folder": str(place), **fitted.result, **fitted.timings}


def _expected(setup: Setup, checkpoints: Path, begins_anew: bool) -> Json:
    """What a training would take, and from where it goes on. Raises InputError as the training would."""
    from llmkit.training import checkpoint

    count, trainings = setup.processes.count, setup.settings.train.folds
    if count > 1:
        setup.ui.warn(f"--dry-run measures one process with the whole batch, not {count} with their parts")
    step = 0
    if not begins_anew:
        newest = checkpoint.newest(checkpoints, setups.fingerprint(setup), setup.ui.warn)
        step = newest.step if newest else 0
    expected = probe.probe(replace(setup, processes=ALONE))
    if trainings:
        expected |= {"minutes": (trainings + 1) * expected["minutes"], "folds": trainings}
    return {"goes_on_from_step": step, **expected}


def _cross_validation(experiment: Experiment, setup: Setup, place: Path) -> tuple[Json, Json]:
    """(result, timings) of the folds; nothing where none are wanted."""
    if not setup.task.folds or not setup.settings.train.folds:
        return {}, {}
    return folds.cross_validate(experiment, setup, setup.task.folds, place)


def _train_along(experiment: Experiment, device: str, processes: Processes) -> Json:
    """What a process that does not lead does, once the first one begins: its part of the training, nothing else."""
    if processes.begin():
        prepared = artifacts.read(experiment.run_dir / "prepared", verify=False)  # the first process has verified it
        fit.train_weights(Setup(experiment.settings, prepared, device, Silent(), processes), experiment.work / "train")
    return {"stage": "train", "folder": str(experiment.run_dir / "model"), "process": processes.rank}


def _made(model: Artifact, fingerprint: Mapping[str, object]) -> bool:
    """Whether the run that ended with `fingerprint` made this model: a crash came before its checkpoints were gone."""
    manifest = model.manifest
    made = manifest["settings"] | {"seed": manifest["seed"], "prepared": manifest["parents"].get("prepared")}
    return all(fingerprint.get(key) == value for key, value in made.items())


def _draw(metrics: Path, picture: Path, ui: Console) -> None:
    """Draw the loss curve; the model is in its place, so that a full disk is worth a warning only."""
    from llmkit.training import metrics_file

    try:
        drawn = io.BytesIO()
        with artifacts.writing(picture):
            if charts.loss_curve(metrics_file.records(metrics), drawn):
                new_files.write_bytes(picture, drawn.getvalue())
                ui.info(f"loss curve: {picture}")
    except InputError as error:
        ui.warn(str(error))
