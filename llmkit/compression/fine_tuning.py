"""A changed model goes on learning: the one training loop, the task's learner, and what a method puts around it.

Checkpoints lie in WORK/checkpoints/<hash of all that decides the outcome>, so that an interrupted fine-tuning goes on
and one with other settings begins anew.
"""

import hashlib
import json
import math
import time
from dataclasses import replace
from typing import Any

import torch
from msgspec import structs

from llmkit import tasks
from llmkit.compression.model import CHECKPOINTS, Job, Model
from llmkit.config.schema import to_data
from llmkit.config.variants import FineTuning
from llmkit.errors import Diverged
from llmkit.training import devices, loop
from llmkit.training.settings import Training


def learner(job: Job, settings: Any, weights: dict[str, Any] | None) -> Any:
    """The task's learner for `settings` (a root section), with `weights`, else random ones."""
    device = devices.choose(job.device)
    number_type = devices.number_type(settings.train.number_type, device)
    settings = structs.replace(settings, seed=job.seed)
    with devices.explained_memory(settings.train.batch_size, to_data(settings.model)):
        made = tasks.module(settings.task, "train").learner(
            job.prepared.path, settings, device, number_type, job.ui.warn
        )
    if weights is not None:
        job.task.load(made, weights)
    return made


def training(original: Training, wanted: FineTuning, share: float) -> Training:
    """The section `train` of a fine-tuning: the original's, but for what `wanted` says.

    Where that names no budget, a `share` of the original's.
    """
    budget: dict[str, Any] = {name: getattr(wanted, name) for name in wanted.one_of}
    if all(amount is None for amount in budget.values()):
        kind, amount = original.budget
        budget[kind] = math.ceil(share * amount) if kind == "steps" else share * amount
    return structs.replace(
        original,
        **budget,
        learning_rate=wanted.learning_rate or original.learning_rate,
        validation_steps=None,
        patience=0,
        start_from=None,
        tensorboard=False,
    )


def taught(
    learner: Any, wanted: FineTuning, teachers: list[Model], settings: Training, job: Job
) -> tuple[Any, Training]:
    """The learner with `teachers`, where `wanted` gives them a share of the loss, and the training that is left.

    What the teachers take before the first step is taken off a budget in minutes.
    """
    if not wanted.mix or wanted.steps == 0:
        return learner, settings
    pairs = [(teacher.settings, teacher.weights) for teacher in teachers]
    start = time.monotonic()
    learner = job.task.taught(learner, pairs, wanted.temperature, wanted.mix, job.ui.progress)
    kind, amount = settings.budget
    if kind == "max_minutes":
        left = max(amount - (time.monotonic() - start) / 60, amount / 10)
        settings = structs.replace(settings, max_minutes=left)
    return learner, settings


def run(job: Job, learner: Any, settings: Training, wanted: FineTuning, identity: dict[str, Any]) -> dict[str, Any]:
    """Train `learner`, which has the best weights afterwards; returns what goes into the record.

    `identity`: all that decides the outcome beside `settings`, `wanted` and the data. Raises what the loop raises.
    """
    if wanted.steps == 0:
        return {"steps": 0}
    train = to_data(settings)
    train.pop("max_minutes")  # what is left of it; that of the beginning stands in `wanted` or in the original
    identity = identity | {
        "train": train,
        "variant": to_data(wanted),
        "seed": job.seed,
        "prepared": job.prepared.hash,
        "original": job.folder.artifact.hash,
        "device": learner.device.type,
        "number_type": str(learner.number_type),
        "torch": torch.__version__,
    }
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    memory, place = devices.explained_memory(settings.batch_size, {}), job.work / CHECKPOINTS / name
    try:
        with devices.flushed_denormals(), memory:
            outcome = loop.run(learner, settings, place, identity, job.ui.training, job.ui.warn)
    except Diverged as error:
        raise Diverged(
            f"fine-tuning diverged ({str(error).partition(';')[0]}); lower learning_rate of this variant "
            f"(now {settings.learning_rate:g})"
        ) from error
    finally:
        job.ui.close()
    learner.load_weights(outcome.weights)
    return {
        "steps": outcome.step,
        learner.unit: outcome.count,
        "learning_rate": settings.learning_rate,
        "best_step": outcome.best_step,
    }


def exported(job: Job, learner: Any, before: Model, settings: Any, record: dict[str, Any]) -> Model:
    """The learner's network as the next model; `settings` (a root section) are those that build it."""
    graph, weights, _ = learner.export()
    parameters = sum(tensor.numel() for tensor in learner.weights().values())
    settings = job.task.as_learned(settings, learner)
    return replace(
        before, graph=graph, weights=weights, settings=settings, parameters=parameters, done=(*before.done, record)
    )
