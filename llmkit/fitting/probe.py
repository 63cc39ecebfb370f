"""What a training would take, measured in a few seconds: steps, minutes, memory. For `--dry-run`."""

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from llmkit.config.schema import to_data
from llmkit.config.training import Training
from llmkit.fitting import setup as setups
from llmkit.fitting.setup import Setup
from llmkit.plain import Json

if TYPE_CHECKING:
    from llmkit.training.learner import Learner

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


def probe(setup: Setup) -> Json:
    """What a training would take (early stopping may end it sooner): steps, minutes, memory, measured in a few seconds.

    `too_small`: a sentence for each way in which the data is too little for the model and the budget.
    """
    from llmkit.training import devices

    settings = setup.settings.train
    learner = setups.learner(setup)
    device = learner.hardware.device
    memory = devices.explained_memory(settings.batch_size, to_data(setup.settings.model))
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
        "memory_bytes": devices.peak_memory_bytes(device) + (best if device.type == "cpu" else 0),
        "parameters": parameters,
        f"training_{learner.unit}": round(units),
        "too_small": too_small(round(units), parameters, passes, learner.unit) if learner.unit == "tokens" else [],
    }


def _seconds_of_step(learner: "Learner", rate: float) -> float:
    """Of an ordinary step: the median, so that another busy program counts little, of a few seconds' steps."""
    for _ in range(PROBE_WARMUP):
        learner.step(rate, 0.0)
    start, taken = time.monotonic(), list[float]()
    while len(taken) < 5 or time.monotonic() - start < PROBE_SECONDS:
        before, count = time.monotonic(), learner.count
        if (loss := learner.step(rate, 0.0)) is not None:
            loss.item()  # waits for the device
        taken.append((time.monotonic() - before) / (learner.count - count))
    return float(np.median(taken)) * learner.step_count


def _seconds_of_validation(learner: "Learner", rate: float) -> float:
    """Of a whole pass, from the part of it that takes about a second (`rate`: units trained on in a second)."""
    part = min(1.0, max(PROBE_VALIDATION, 3 * rate) / learner.validation_count)
    start = time.monotonic()
    learner.validate(part)
    return (time.monotonic() - start) / part


def _seconds_of_checkpoint(learner: "Learner") -> float:
    """Weights, best weights and the learner's state made to bytes and hashed, and again as long for the disk."""
    import hashlib

    from safetensors.torch import save

    start = time.monotonic()
    for tensors in (learner.weights(), learner.weights(), learner.state()[0]):
        hashlib.sha256(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))
    return 2 * (time.monotonic() - start)


def _whole_run(
    settings: Training, learner: "Learner", step: float, validation: float, saving: float
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
