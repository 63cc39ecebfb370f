"""A changed model goes on learning: the one training loop, the task's learner, and what a method puts around it.

Checkpoints lie in WORK/checkpoints/<hash of all that decides the outcome>, so that an interrupted fine-tuning goes on
and one with other settings begins anew.
"""

import hashlib
import json
import math
import time
from dataclasses import replace

from msgspec import structs

from llmkit.compression.model import CHECKPOINTS, Job, Model, Record
from llmkit.config.root import Root
from llmkit.config.schema import to_data
from llmkit.config.training import Training
from llmkit.config.variants import FineTuning
from llmkit.errors import Diverged, InputError
from llmkit.fitting import fit, setup as setups
from llmkit.fitting.setup import Setup
from llmkit.plain import Json
from llmkit.tasks.contract import Arrays
from llmkit.training.learner import Learner


def learner(job: Job, settings: Root, weights: Arrays | None) -> Learner:
    """The task's learner for `settings`, with `weights`, else random ones."""
    settings = structs.replace(settings, seed=job.seed, train=structs.replace(settings.train, start_from=None))
    made = setups.learner(Setup(settings, job.prepared, job.device, job.ui))
    if weights is not None:
        try:
            job.learning.load(made, weights)
        except (RuntimeError, KeyError, ValueError, IndexError) as error:
            raise InputError(
                f"a model's weights are not of the sizes that its config says ({str(error).splitlines()[-1].strip()}); "
                "make it again"
            ) from error
    return made


def training(original: Training, wanted: FineTuning, share: float) -> Training:
    """The section `train` of a fine-tuning: the original's, but for what `wanted` says.

    Where that names no budget, a `share` of the original's.
    """
    budget: Json = {name: getattr(wanted, name) for name in wanted.one_of}
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
    learner: Learner, wanted: FineTuning, teachers: list[Model], settings: Root, job: Job
) -> tuple[Learner, Root]:
    """The learner with `teachers`, where `wanted` gives them a share of the loss, and the settings of what is left.

    What the teachers take before the first step is taken off a budget in minutes.
    """
    if not wanted.mix or wanted.steps == 0:
        return learner, settings
    pairs = [(teacher.settings, teacher.weights) for teacher in teachers]
    start = time.monotonic()
    learner = job.learning.taught(learner, pairs, wanted.temperature, wanted.mix, job.ui.progress)
    kind, amount = settings.train.budget
    if kind == "max_minutes":
        left = max(amount - (time.monotonic() - start) / 60, amount / 10)
        settings = structs.replace(settings, train=structs.replace(settings.train, max_minutes=left))
    return learner, settings


def run(job: Job, learner: Learner, settings: Root, wanted: FineTuning, identity: Json) -> Record:
    """Train `learner`, which has the best weights afterwards; returns what goes into the record.

    `settings` are the root section with the fine-tuning's own section `train`. `identity`: all that decides the outcome
    beside that, `wanted` and the data. Raises what the loop raises.
    """
    if wanted.steps == 0:
        return {"steps": 0}
    train = to_data(settings.train)
    train.pop("max_minutes")  # what is left of it; that of the beginning stands in `wanted` or in the original
    identity = identity | {
        "train": train,
        "variant": to_data(wanted),
        "seed": job.seed,
        "prepared": job.prepared.hash,
        "original": job.folder.artifact.hash,
        **setups.on_machine(learner.hardware),
    }
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    try:
        outcome = fit.run_loop(learner, settings, job.work / CHECKPOINTS / name, identity, job.ui)
    except Diverged as error:
        raise Diverged(
            f"fine-tuning diverged ({str(error).partition(';')[0]}); lower learning_rate of this variant "
            f"(now {settings.train.learning_rate:g})"
        ) from error
    learner.load_weights(outcome.weights)
    return {
        "steps": outcome.step,
        learner.unit: outcome.count,
        "learning_rate": settings.train.learning_rate,
        "best_step": outcome.best_step,
    }


def exported(job: Job, learner: Learner, before: Model, settings: Root, record: Record) -> Model:
    """The learner's network as the next model; `settings` are those that build it."""
    export = learner.export()
    parameters = sum(tensor.numel() for tensor in learner.weights().values())
    settings = job.learning.as_learned(settings, learner)
    return replace(
        before,
        graph=export.graph,
        weights=export.weights,
        settings=settings,
        parameters=parameters,
        done=(*before.done, record),
    )
