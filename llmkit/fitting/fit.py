"""One training: a setup, or a learner that something was put around, through the loop to weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmkit.config.schema import to_data
from llmkit.config.training import Training
from llmkit.console.messages import Console
from llmkit.fitting import setup as setups
from llmkit.fitting.setup import Setup
from llmkit.plain import Json
from llmkit.store.model_folder import ModelFile
from llmkit.training.distributed import ALONE, Processes
from llmkit.training.metrics_file import NAME as METRICS

if TYPE_CHECKING:
    from onnx import ModelProto

    from llmkit.training.learner import Learner
    from llmkit.training.loop import Outcome

Prune = Callable[[float, float], None]
"""(share of the budget spent, val_loss): may raise, to give a training up."""


@dataclass(frozen=True)
class Fitted:
    """A trained model, not yet in a folder. `timings` depend on the clock, `result` only on inputs and settings."""

    graph: "ModelProto"
    weights: dict[str, np.ndarray]
    files: dict[str, ModelFile]
    result: Json
    timings: Json
    metrics: Path
    """The metrics.jsonl of the training."""
    warnings: list[str]


def fit(setup: Setup, checkpoints: Path) -> Fitted:
    """Train, and take the model out of the learner. Raises what `training.loop.run` raises."""
    learner, outcome = run(setup, checkpoints)
    learner.load_weights(outcome.weights)
    export = learner.export()
    finish = learner.finish(outcome.val_loss, setup.work, setup.ui.progress)
    setup.ui.close()
    result = {
        "steps": outcome.step,
        learner.unit: outcome.count,
        "val_loss": outcome.val_loss,
        "best_step": outcome.best_step,
        "stopped_early": outcome.stopped_early,
        "parameters": sum(parameter.numel() for parameter in learner.weights().values()),
        "trainable": True,
        "device": learner.hardware.device.type,
        "number_type": str(learner.hardware.number_type).removeprefix("torch."),
    }
    processes = setup.processes
    result |= finish.metrics | ({"processes": processes.count} if processes.count > 1 else {})
    timings = {"seconds": outcome.seconds, f"{learner.unit}_per_second": outcome.count / max(outcome.seconds, 1e-9)}
    return Fitted(
        export.graph,
        export.weights,
        export.files | finish.files,
        result,
        timings,
        checkpoints / METRICS,
        finish.warnings,
    )


def run(setup: Setup, checkpoints: Path, prune: Prune | None = None) -> "tuple[Learner, Outcome]":
    """The training alone, all that a trial of the search needs: the learner and how its run ended."""
    learner, processes = setups.learner(setup), setup.processes
    if processes.count > 1:
        learner.distribute(processes)
        processes.seed_apart(setup.settings.seed)
    identity = setups.fingerprint(setup)
    outcome = drive(
        learner, setup.settings.train, checkpoints, identity, setup.ui, to_data(setup.settings.model), prune, processes
    )
    return learner, outcome


def drive(
    learner: "Learner",
    settings: Training,
    checkpoints: Path,
    identity: Mapping[str, object],
    ui: Console,
    sizes: Mapping[str, object],
    prune: Prune | None = None,
    processes: Processes = ALONE,
) -> "Outcome":
    """Drive a learner through the loop, checkpoints in `checkpoints`, what it reports shown and recorded.

    `identity` is what must be the same for a checkpoint to be gone on from; `sizes` are the network's, for the message
    where memory is short. Raises what `training.loop.run` raises, and ConfigError.
    """
    from llmkit.training import devices, loop, tensorboard

    memory = devices.explained_memory(settings.batch_size, sizes)
    recorded = settings.tensorboard and processes.leads
    curves = tensorboard.recording(recorded, checkpoints / "tensorboard", learner.unit, ui.training)
    try:
        with devices.flushed_denormals(), memory, curves as report:
            return loop.run(learner, settings, checkpoints, identity, report, ui.warn, prune, processes)
    finally:
        ui.close()
