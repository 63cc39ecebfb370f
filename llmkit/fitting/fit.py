"""One training: a setup, or a learner that something was put around, through the loop to weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmkit.config.root import Root
from llmkit.config.schema import to_data
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
    from llmkit.training.loop import GiveUp, Outcome


@dataclass(frozen=True)
class Fitted:
    """A trained model, not yet in a folder.

    `result` goes into its manifest and is printed by `--json`: with a budget in steps or epochs it follows from inputs
    and settings alone. `timings` are what a clock said, and stay out of the manifest.
    """

    graph: "ModelProto"
    weights: dict[str, np.ndarray]
    files: dict[str, ModelFile]
    result: Json
    timings: Json
    metrics_file: Path
    """The metrics.jsonl of the training."""
    warnings: list[str]


def fit(setup: Setup, checkpoints: Path) -> Fitted:
    """Train, and take the model out of the learner. Raises what `training.loop.run` raises."""
    if sentence := setups.faster_type(setup):
        setup.ui.info(sentence)
    learner, outcome = train_weights(setup, checkpoints)
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


def train_weights(setup: Setup, checkpoints: Path, give_up: "GiveUp | None" = None) -> "tuple[Learner, Outcome]":
    """The training alone, all that a trial of the search needs: the learner and how its run ended."""
    learner, processes = setups.learner(setup), setup.processes
    if processes.count > 1:
        learner.distribute(processes)
        processes.seed_apart(setup.settings.seed)
    outcome = run_loop(learner, setup.settings, checkpoints, setups.fingerprint(setup), setup.ui, give_up, processes)
    return learner, outcome


def run_loop(
    learner: "Learner",
    settings: Root,
    checkpoints: Path,
    fingerprint: Mapping[str, object],
    ui: Console,
    give_up: "GiveUp | None" = None,
    processes: Processes = ALONE,
) -> "Outcome":
    """Drive a learner through the training loop; what the loop reports is shown and, where wanted, recorded.

    `fingerprint` is what must be the same for a checkpoint in `checkpoints` to be gone on from. Raises what
    `training.loop.run` raises, and ConfigError where memory is short.
    """
    from llmkit.training import devices, loop, tensorboard

    train = settings.train
    memory = devices.explained_memory(train.batch_size, to_data(settings.model))
    recorded = train.tensorboard and processes.leads
    curves = tensorboard.recording(recorded, checkpoints / "tensorboard", learner.unit, ui.training)
    try:
        exact = devices.exact(learner.hardware.device, train.deterministic is not False)
        with devices.flushed_denormals(), exact, memory, curves as report:
            return loop.run(learner, train, checkpoints, fingerprint, report, ui.warn, give_up, processes)
    finally:
        ui.close()
