"""`llmkit train`: RUN_DIR/prepared -> RUN_DIR/model, through checkpoints in RUN_DIR/work/train.

`fit` is one training from a config to weights; the search (`tune`) calls it for each trial.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llmkit import artifacts, model_folder, pictures, tasks
from llmkit.config import Config, to_data
from llmkit.console import Console
from llmkit.errors import ConfigError
from llmkit.stages import freshness

PROBE_SECONDS = 4.0


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
) -> dict[str, Any]:
    """Train the model of a config; returns steps, tokens (or examples), seconds, val_loss, best_step, parameters, …

    Reads RUN_DIR/prepared, writes RUN_DIR/model; goes on from the checkpoints of an interrupted run unless `fresh`.
    Raises ConfigError, InputError and, when interrupted, Interrupted.
    """
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
    if dry_run:
        return {
            "stage": "train",
            "folder": str(place),
            "dry_run": True,
            "would_run": why or ["--fresh" if fresh else "--force"],
            "goes_on_from_step": 0 if fresh else checkpoint.newest_step(work / "train"),
            **probe(config, prepared, device, ui),
        }
    ui.detail(f"making {place}: {'; '.join(why) or '--force or --fresh'}")
    with artifacts.lock(config.run_dir, config.command("train")):
        checkpoints = work / "train"
        if fresh:
            checkpoint.drop(checkpoints)
        if config.settings.train.tensorboard:
            ui.info(f"curves: tensorboard --logdir {checkpoints / 'tensorboard'}")
        fitted = fit(config, prepared, checkpoints, device, ui)
        with artifacts.building(place) as folder:
            artifact = write_model(folder, config, fitted, wanted, prepared)
        for line in fitted.warnings:
            ui.warn(line)
        freshness.store_timings(artifact, work, fitted.timings)
        checkpoint.drop(checkpoints)  # what is found there is always an interrupted run
        if pictures.loss_curve(fitted.metrics, checkpoints / "loss.png"):
            ui.info(f"loss curve: {checkpoints / 'loss.png'}")
    return {"stage": "train", "folder": str(place), **fitted.result, **fitted.timings}


def fit(
    config: Config,
    prepared: artifacts.Artifact,
    checkpoints: Path,
    device: str,
    ui: Console,
    prune: Callable[[float, float], None] | None = None,
) -> Fitted:
    """Train a config on a prepared folder, checkpoints in `checkpoints`. Raises what `training.loop.run` raises."""
    import torch

    from llmkit.training import devices, loop, tensorboard

    settings = config.settings.train
    chosen = devices.choose(device)
    number_type = devices.number_type(settings.number_type, chosen)
    learner = make_learner(config, prepared, chosen, number_type, ui)
    fingerprint = model_settings(config) | {
        "seed": config.settings.seed,
        "prepared": prepared.hash,
        "device": chosen.type,
        "number_type": str(number_type),
        "torch": torch.__version__,
    }
    memory = devices.explained_memory(settings.batch_size, to_data(config.settings.model))
    curves = tensorboard.recording(settings.tensorboard, checkpoints / "tensorboard", learner.unit, ui.training)
    with devices.flushed_denormals(), memory, curves as report:
        outcome = loop.run(learner, settings, checkpoints, fingerprint, report, ui.warn, prune)
    ui.close()
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
        "device": chosen.type,
        "number_type": str(number_type).removeprefix("torch."),
    }
    result |= figures
    timings = {"seconds": outcome.seconds, f"{learner.unit}_per_second": outcome.count / max(outcome.seconds, 1e-9)}
    metrics = checkpoints / "metrics.jsonl"
    return Fitted(graph, weights, files | more_files, result, timings, metrics, warnings)


def make_learner(config: Config, prepared: artifacts.Artifact, device: Any, number_type: Any, ui: Console) -> Any:
    """The task's learner (`training.loop.Learner`), its weights random or those of `train.start_from`."""
    from llmkit.training import devices

    task = tasks.module(config.task, "learn")
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
    folder = model_folder.read(path, task=config.task)
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

    from llmkit import card
    from llmkit.training import metrics

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
    """What a training would take: steps, minutes and memory, measured by running a few steps for seconds."""
    from llmkit.training import devices, loop

    chosen = devices.choose(device)
    number_type = devices.number_type(config.settings.train.number_type, chosen)
    learner = make_learner(config, prepared, chosen, number_type, ui)
    memory = devices.explained_memory(config.settings.train.batch_size, to_data(config.settings.model))
    with devices.flushed_denormals(), memory:
        learner.step(config.settings.train.learning_rate)
        start, epochs, steps = time.monotonic(), learner.epochs, 0
        while steps < 3 or time.monotonic() - start < PROBE_SECONDS:
            learner.step(config.settings.train.learning_rate)
            steps += 1
        seconds = (time.monotonic() - start) / steps
        epoch = (learner.epochs - epochs) / steps
        start = time.monotonic()
        learner.validate()
        validation = time.monotonic() - start
    per_step = seconds + validation / loop.validation_interval(config.settings.train, learner)
    kind, amount = config.settings.train.budget
    total = {"steps": amount, "epochs": amount / epoch, "max_minutes": max(60 * amount - validation, 0) / per_step}[
        kind
    ]
    return {
        "steps": round(total),
        "epochs": total * epoch,
        "minutes": (total * per_step + validation) / 60,
        "memory_bytes": devices.peak_memory_bytes(chosen),
        "parameters": sum(w.numel() for w in learner.weights().values()),
    }


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
