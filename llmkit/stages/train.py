"""`llmkit train`: RUN_DIR/prepared -> RUN_DIR/model, through checkpoints in RUN_DIR/work/train.

`fit` is one training from a config to weights; the search (`tune`) calls it for each trial.
"""

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from llmkit import tasks
from llmkit.config.schema import Config, to_data
from llmkit.console import charts
from llmkit.console.messages import Console, Silent
from llmkit.errors import ConfigError, InputError
from llmkit.stages import freshness
from llmkit.store import artifacts, model_folder
from llmkit.training.distributed import ALONE, Processes

PROBE_SECONDS = 4.0  # of timed steps
PROBE_WARMUP = 3  # steps before them, in which memory is taken and caches fill
PROBE_VALIDATION = 20_000  # units validated at least: as many parallel streams as in a whole validation

# Both judge token streams, where each token is one thing to learn by heart; an example of a table has many inputs.
# Fewer units than parameters: nothing but regularisation keeps a model from storing the text. (A model trained for its
# compute alone gets some 20 tokens per parameter: Hoffmann et al., arXiv 2203.15556, section 3.)
UNITS_PER_PARAMETER = 1
# Repeating data is worth almost as much as new data up to 4 passes, less and less until about 16 and then little:
# Muennighoff et al., arXiv 2305.16264, sections 5 and 6.
MANY_PASSES = 16


@dataclass(frozen=True)
class Fitted:
    """A trained model, not yet in a folder. `timings` depend on the clock, `result` only on inputs and settings."""

    graph: Any
    weights: dict[str, np.ndarray]
    files: dict[str, Path]
    result: dict[str, Any]
    timings: dict[str, Any]
    metrics: Path
    warnings: list[str]


def train(
    config: Config,
    *,
    force: bool = False,
    fresh: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    ui: Console | None = None,
    processes: Processes = ALONE,
) -> dict[str, Any]:
    """Train the model of a config; returns steps, tokens (or examples), seconds, val_loss, best_step, parameters, …

    Reads RUN_DIR/prepared, writes RUN_DIR/model; goes on from the checkpoints of an interrupted run unless `fresh`.
    Where the task's settings have `train.folds`, a cross-validation comes first (`stages/folds.py`).
    Raises ConfigError, InputError and, when interrupted, Interrupted. Several `processes`, joined by
    `training.distributed`, each call it: the first one does all of this, the others only train along with it.
    """
    if not processes.leads:
        return _train_along(config, device, processes)
    ui = ui or Console(0)
    prepared = freshness.read_prepared(config)
    place, work = config.run_dir / "model", config.run_dir / "work"
    start = start_folder(config)
    wanted = freshness.Wanted("train", model_settings(config), config.settings.seed, _parents(prepared, start))
    found, why = freshness.reasons(place, wanted)
    if found and not why and not force and not fresh:
        return {"stage": "train", "folder": str(place), "up_to_date": True, **freshness.stored(found, work)}
    require_torch()
    from llmkit.training import checkpoint, tensorboard

    tensorboard.require(config.settings.train.tensorboard)
    folds = getattr(config.settings.train, "folds", None)
    if folds and processes.count > 1:
        raise ConfigError("train.folds: the folds are trained by one process; start it without torchrun")
    checkpoints = work / "train"
    begins_anew = fresh or bool(found and why and _made(found, checkpoint.ended(checkpoints)))
    if dry_run:
        if processes.count > 1:
            ui.warn(f"--dry-run measures one process with the whole batch, not {processes.count} with their parts")
        return {
            "stage": "train",
            "folder": str(place),
            "dry_run": True,
            "would_run": why or ["--fresh" if fresh else "--force"],
            "goes_on_from_step": 0
            if begins_anew
            else _goes_on_from(config, prepared, checkpoints, device, ui, processes),
            **_of_all_trainings(probe(config, prepared, device, ui), folds),
        }
    ui.detail(f"making {place}: {'; '.join(why) or '--force or --fresh'}")
    with artifacts.lock(config.run_dir, config.command("train")):
        if begins_anew:
            checkpoint.drop(checkpoints)
            shutil.rmtree(work / "folds", ignore_errors=True)
        if config.settings.train.tensorboard:
            ui.info(f"curves: tensorboard --logdir {checkpoints / 'tensorboard'}")
        processes.begin()
        figures, times = _cross_validation(config, prepared, work / "folds", device, ui) if folds else ({}, {})
        fitted = fit(config, prepared, checkpoints, device, ui, processes)
        fitted = replace(fitted, result=fitted.result | figures, timings=fitted.timings | times)
        with artifacts.building(place) as folder:
            artifact = write_model(folder, config, fitted, wanted, prepared)
        for line in fitted.warnings:
            ui.warn(line)
        freshness.store_timings(artifact, work, fitted.timings)
        checkpoint.drop(checkpoints)  # what is found there is always an interrupted run
        shutil.rmtree(work / "folds", ignore_errors=True)
        _draw(fitted.metrics, checkpoints / "loss.png", ui)
    return {"stage": "train", "folder": str(place), **fitted.result, **fitted.timings}


def _of_all_trainings(found: dict[str, Any], folds: int | None) -> dict[str, Any]:
    """What a probe of one training found, with the minutes of as many more as there are folds."""
    return found | {"minutes": (folds + 1) * found["minutes"], "folds": folds} if folds else found


def _cross_validation(
    config: Config, prepared: artifacts.Artifact, folder: Path, device: str, ui: Console
) -> tuple[dict[str, Any], dict[str, Any]]:
    from llmkit.stages import folds

    return folds.cross_validate(config, prepared, folder, device, ui)


def _train_along(config: Config, device: str, processes: Processes) -> dict[str, Any]:
    """What a process that does not lead does, once the first one begins: its part of the training, nothing else."""
    place, work = config.run_dir / "model", config.run_dir / "work"
    if processes.begin():
        prepared = artifacts.read(config.run_dir / "prepared", verify=False)  # the first process has verified it
        run(config, prepared, work / "train", device, Silent(), processes=processes)
    return {"stage": "train", "folder": str(place), "process": processes.rank}


def _made(model: artifacts.Artifact, fingerprint: dict[str, Any]) -> bool:
    """Whether the run that ended with `fingerprint` made this model: a crash came before its checkpoints were gone."""
    found = model.manifest
    made = found["settings"] | {"seed": found["seed"], "prepared": found["parents"].get("prepared")}
    return all(fingerprint.get(key) == value for key, value in made.items())


def _draw(metrics: Path, picture: Path, ui: Console) -> None:
    """Draw the loss curve; the model is in its place, so that a full disk is worth a warning only."""
    try:
        with artifacts.writing(picture):
            if charts.loss_curve(metrics, picture):
                ui.info(f"loss curve: {picture}")
    except InputError as error:
        ui.warn(str(error))


def fit(
    config: Config,
    prepared: artifacts.Artifact,
    checkpoints: Path,
    device: str,
    ui: Console,
    processes: Processes = ALONE,
) -> Fitted:
    """Train a config on a prepared folder, checkpoints in `checkpoints`. Raises what `training.loop.run` raises."""
    learner, outcome = run(config, prepared, checkpoints, device, ui, processes=processes)
    learner.load_weights(outcome.weights)
    graph, weights, files = learner.export()
    more_files, figures, warnings = learner.finish(outcome.val_loss, checkpoints, ui.progress)
    ui.close()
    result = {
        "steps": outcome.step,
        learner.unit: outcome.count,
        "val_loss": outcome.val_loss,
        "best_step": outcome.best_step,
        "stopped_early": outcome.stopped_early,
        "parameters": sum(parameter.numel() for parameter in learner.weights().values()),
        "trainable": True,
        "device": learner.device.type,
        "number_type": str(learner.number_type).removeprefix("torch."),
    }
    result |= figures | ({"processes": processes.count} if processes.count > 1 else {})
    timings = {"seconds": outcome.seconds, f"{learner.unit}_per_second": outcome.count / max(outcome.seconds, 1e-9)}
    metrics = checkpoints / "metrics.jsonl"
    return Fitted(graph, weights, files | more_files, result, timings, metrics, warnings)


def run(
    config: Config,
    prepared: artifacts.Artifact,
    checkpoints: Path,
    device: str,
    ui: Console,
    prune: Callable[[float, float], None] | None = None,
    processes: Processes = ALONE,
) -> tuple[Any, Any]:
    """The training alone, all that a trial of the search needs: the learner and its `training.loop.Outcome`."""

    from llmkit.training import devices, loop, tensorboard

    settings = config.settings.train
    chosen = processes.own_device(devices.choose(device))
    number_type = devices.number_type(settings.number_type, chosen)
    learner = make_learner(config, prepared, chosen, number_type, ui)
    if processes.count > 1:
        learner.distribute(processes)
        processes.seed_apart(config.settings.seed)
    fingerprint = _fingerprint(config, prepared, chosen, number_type, processes)
    memory = devices.explained_memory(settings.batch_size, to_data(config.settings.model))
    recorded = settings.tensorboard and processes.leads
    curves = tensorboard.recording(recorded, checkpoints / "tensorboard", learner.unit, ui.training)
    with devices.flushed_denormals(), memory, curves as report:
        outcome = loop.run(learner, settings, checkpoints, fingerprint, report, ui.warn, prune, processes)
    ui.close()
    return learner, outcome


def _fingerprint(
    config: Config, prepared: artifacts.Artifact, device: Any, number_type: Any, processes: Processes
) -> dict[str, Any]:
    """What must be the same for a checkpoint to be continued."""
    import torch

    fingerprint = model_settings(config) | {
        "seed": config.settings.seed,
        "prepared": prepared.hash,
        "device": device.type,
        "number_type": str(number_type),
        "torch": torch.__version__,
    }
    if start := start_folder(config):
        fingerprint["start_from"] = start.artifact.hash
    if processes.count > 1:
        fingerprint["processes"] = processes.count
    return fingerprint


def _goes_on_from(
    config: Config, prepared: artifacts.Artifact, checkpoints: Path, device: str, ui: Console, processes: Processes
) -> int:
    """The step of the checkpoint that a training goes on from, 0 for none. Raises InputError as the training would."""
    from llmkit.training import checkpoint, devices

    chosen = devices.choose(device)
    number_type = devices.number_type(config.settings.train.number_type, chosen)
    found = checkpoint.newest(checkpoints, _fingerprint(config, prepared, chosen, number_type, processes), ui.warn)
    return found.step if found else 0


def make_learner(config: Config, prepared: artifacts.Artifact, device: Any, number_type: Any, ui: Console) -> Any:
    """The task's learner (`training.loop.Learner`), its weights random or those of `train.start_from`."""
    from llmkit.training import devices

    task = tasks.module(config.task, "train")
    with devices.explained_memory(config.settings.train.batch_size, to_data(config.settings.model)):
        learner = task.learner(prepared.path, config.settings, device, number_type, ui.warn)
    start = start_folder(config)
    if start:
        learner.start_from(start)
    return learner


def start_folder(config: Config) -> model_folder.ModelFolder | None:
    """The model folder of `train.start_from`, verified, or None. Raises InputError and ConfigError."""
    path = config.settings.train.start_from
    if path is None:
        return None
    folder = model_folder.read(path)
    accepted = getattr(tasks.module(config.task, "settings"), "STARTS_FROM", (config.task,))
    if folder.task not in accepted:
        wanted = " or ".join(accepted)
        raise InputError(f"{path} is a model of task {folder.task}, not {wanted}; name a model of task {wanted}")
    if not folder.trainable:
        raise ConfigError(f"train.start_from: {path} has no float weights to train on; name a trainable model folder")
    return folder


def write_model(
    folder: artifacts.Folder,
    config: Config,
    fitted: Fitted,
    wanted: freshness.Wanted,
    prepared: artifacts.Artifact,
    beside: dict[str, str] | None = None,
) -> artifacts.Artifact:
    """Fill a folder being built with a trained model (and text files `beside` it) and put it in place."""
    import onnx
    import torch

    from llmkit.fitting import card
    from llmkit.training import metrics_file as metrics

    model_folder.write(folder.path, fitted.graph, fitted.weights, config.settings, fitted.files)
    metrics.copy_without_clock(fitted.metrics, folder.path / "metrics.jsonl")
    text = card.trained(config, prepared.manifest, fitted.result)
    for name, content in {"card.md": text, **(beside or {})}.items():
        (folder.path / name).write_text(content, encoding="utf-8")
    return folder.finish(
        stage=wanted.stage,
        task=config.task,
        settings=wanted.settings,
        seed=wanted.seed,
        parents=wanted.parents,
        inputs=wanted.inputs,
        result=fitted.result,
        versions={"torch": torch.__version__, "onnx": onnx.__version__},
    )


def probe(config: Config, prepared: artifacts.Artifact, device: str, ui: Console) -> dict[str, Any]:
    """What a training would take (early stopping may end it sooner): steps, minutes, memory, measured in a few seconds.

    `too_small`: a sentence for each way in which the data is too little for the model and the budget.
    """
    from llmkit.training import devices

    settings = config.settings.train
    chosen = devices.choose(device)
    number_type = devices.number_type(settings.number_type, chosen)
    learner = make_learner(config, prepared, chosen, number_type, ui)
    memory = devices.explained_memory(settings.batch_size, to_data(config.settings.model))
    with devices.flushed_denormals(), memory:
        step = _seconds_of_step(learner, settings.learning_rate)
        units = learner.count / learner.epochs  # in the training split
        validation = _seconds_of_validation(learner, learner.step_count / step)
        saving = _seconds_of_checkpoint(learner)
    steps, minutes = _whole_run(settings, learner, step, validation, saving)
    passes = steps * learner.step_count / units
    weights = learner.weights().values()
    parameters = sum(weight.numel() for weight in weights)
    best = sum(weight.numel() * weight.element_size() for weight in weights)  # are copied beside the present ones
    return {
        "steps": round(steps),
        "epochs": passes,
        "minutes": minutes,
        "memory_bytes": devices.peak_memory_bytes(chosen) + (best if chosen.type == "cpu" else 0),
        "parameters": parameters,
        f"training_{learner.unit}": round(units),
        "too_small": too_small(round(units), parameters, passes, learner.unit) if learner.unit == "tokens" else [],
    }


def _seconds_of_step(learner: Any, rate: float) -> float:
    """Of an ordinary step: the median, so that another busy program counts little, of a few seconds' steps."""
    for _ in range(PROBE_WARMUP):
        learner.step(rate)
    start, taken = time.monotonic(), list[float]()
    while len(taken) < 5 or time.monotonic() - start < PROBE_SECONDS:
        before, count = time.monotonic(), learner.count
        learner.step(rate).item()  # waits for the device
        taken.append((time.monotonic() - before) / (learner.count - count))
    return float(np.median(taken)) * learner.step_count


def _seconds_of_validation(learner: Any, rate: float) -> float:
    """Of a whole pass, from the part of it that takes about a second (`rate`: units trained on in a second)."""
    part = min(1.0, max(PROBE_VALIDATION, 3 * rate) / learner.validation_count)
    start = time.monotonic()
    learner.validate(part)
    return (time.monotonic() - start) / part


def _seconds_of_checkpoint(learner: Any) -> float:
    """Weights, best weights and the learner's state made to bytes and hashed, and again as long for the disk."""
    import hashlib

    from safetensors.torch import save

    start = time.monotonic()
    for tensors in (learner.weights(), learner.weights(), learner.state()[0]):
        hashlib.sha256(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))
    return 2 * (time.monotonic() - start)


def _whole_run(
    settings: Any, learner: Any, step: float, validation: float, saving: float
) -> tuple[float, float]:  # steps, minutes
    """A budget's steps and minutes from the seconds that a step, a validation and a checkpoint take."""
    from llmkit.training import loop

    saves = [1 / settings.checkpoint_steps] if settings.checkpoint_steps else []  # in a step
    saves.append(step / (60 * settings.checkpoint_minutes))
    per_step = step + validation / loop.validation_interval(settings, learner) + saving * max(saves)
    kind, amount = settings.budget
    if kind == "max_minutes":
        steps = max(60 * amount - loop.RESERVE * validation, 0) / per_step
    elif kind == "epochs":
        units = round(learner.count / learner.epochs)
        steps = amount * math.ceil(units / learner.step_count)  # the last one of a pass is smaller
    else:
        steps = amount
    return steps, (steps * per_step + validation + saving) / 60


def too_small(units: int, parameters: int, passes: float, unit: str) -> list[str]:
    """Plain sentences where the training split (`units` in `unit`) is little for the model or is read very often."""
    found = []
    if units < parameters * UNITS_PER_PARAMETER:
        found.append(
            f"the training split has {units:,} {unit} for {parameters:,} parameters: so large a model can learn it by "
            "heart; take a smaller model, more dropout or more data"
        )
    if passes > MANY_PASSES:
        found.append(
            f"this budget reads the {units:,} training {unit} {passes:.0f} times: expect overfitting, which dropout "
            f"only delays; after about {MANY_PASSES} passes a smaller budget or more data is worth more than time"
        )
    return found


def model_settings(config: Config) -> dict[str, Any]:
    """The keys that decide what a trained model is; how often the work is saved and shown does not."""
    train = to_data(config.settings.train)
    for key in ("checkpoint_steps", "checkpoint_minutes", "keep_checkpoints", "tensorboard"):
        del train[key]
    return {"model": to_data(config.settings.model), "train": train}


def _parents(prepared: artifacts.Artifact, start: model_folder.ModelFolder | None) -> dict[str, str]:
    return {"prepared": prepared.hash} | ({"start_from": start.artifact.hash} if start else {})


def require_torch() -> None:
    """Raise ConfigError with the command to run where the extra `train` is not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("torch", "onnx", "optuna") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"this stage needs {', '.join(missing)}; install them with: pip install '.[train]' in llmkit's own folder"
        )
