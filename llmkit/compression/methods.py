"""Each method: settings, a model and a job in, the next model out, with a record of what was done.

The record goes into the variant's manifest, so it holds no seconds.
"""

from dataclasses import replace
from pathlib import Path
from typing import assert_never

import numpy as np
from msgspec import structs

from llmkit.compression import fine_tuning, soup
from llmkit.compression.model import Job, Model, Record, read, read_other, validation_loss
from llmkit.config import places
from llmkit.config.root import Root
from llmkit.config.schema import Section, to_data
from llmkit.config.variants import Chain, Distil, FineTuning, Fuse, Method, Prune, Quantize, Variant
from llmkit.data.files import told
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store import artifacts

PRUNING, LEARNING_ANEW = 1 / 3, 1.0  # shares of the original's budget, where the settings name none


def apply(variant: Method | Chain[Method], model: Model, job: Job) -> Model:
    """What a variant that names methods makes of a model (one that names limits: `budget.search`).

    Raises InputError and ConfigError where it does not fit the model, and Interrupted.
    """
    match variant:
        case Chain(steps=steps):
            for number, step in enumerate(steps, 1):
                job.ui.info(f"step {number} of {len(steps)}: {shown(step)}")
                model = apply(step, model, job)
            return model
        case Quantize():
            return quantize(variant, model, job)
        case Prune(how="structured"):
            return remove_units(variant, model, job)
        case Prune():
            return prune(variant, model, job)
        case Distil():
            return distil(variant, model, job)
        case Fuse(how="soup"):
            return fuse_weights(variant, model, job)
        case Fuse():
            return fuse(variant, model, job)
        case _:
            assert_never(variant)


def others(variant: Variant) -> list[str]:
    """The model folders, beside the original, that a variant reads."""
    if isinstance(variant, Chain):
        return [path for step in variant.steps for path in others(step)]
    if isinstance(variant, Fuse):
        return list(variant.members)
    return [variant.teacher] if isinstance(variant, Distil) and variant.teacher else []


def check(variant: Variant, job: Job) -> None:
    """Refuse, before anything is made, other folders that do not fit, and what would undo a private training.

    Raises InputError, ConfigError.
    """
    if isinstance(variant, Chain):
        for step in variant.steps:
            check(step, job)
        return
    if job.folder.settings.train.private and not isinstance(variant, Quantize):
        raise ConfigError(
            f"{shown(variant)}: {told(str(job.folder.path))} was trained with train.private, and this would learn from "
            "the training rows, or from other models, without noise; quantize alone keeps what it promises"
        )
    folders = [read_other(path, job) for path in others(variant)]
    if isinstance(variant, Fuse) and variant.how == "soup":
        soup.check_origin(folders)


def shown(variant: Variant) -> str:
    """A variant's settings in a few words, those left open left out."""
    if isinstance(variant, Chain):
        return " → ".join(shown(step) for step in variant.steps)
    data = to_data(variant)
    for name in places.of_section(type(variant)):
        named = data[name]
        data[name] = told(named) if isinstance(named, str) else named and [told(one) for one in named]
    if isinstance(variant, Fuse) and variant.how == "soup":  # learns nothing
        data = {key: data[key] for key in ("method", "members", "how")}
    method, *given = _given(data, "").items()
    return " ".join([method[1], ", ".join(f"{key} {value}" for key, value in given)]).rstrip()


def _given(data: Json, before: str) -> Json:
    """The keys that are set, those of sections within with dots."""
    found: Json = {}
    for key, value in data.items():
        if isinstance(value, dict):
            found |= _given(value, f"{before}{key}.")
        elif value is not None:
            found[before + key] = value
    return found


def quantize(variant: Quantize, model: Model, job: Job) -> Model:
    """Weights of fewer bits."""
    from llmkit.quantization import quantize as rounding

    record: Record = {"method": "quantize", "bits": variant.bits}
    if variant.bits == 8:
        calibration = job.task.calibration
        feeds = calibration.feeds(model.graph, model.weights, job.prepared) if calibration else None
        graph, weights = rounding.quantize(model.graph, model.weights, feeds)
    else:
        model.require_trainable("quantize")
        assert job.task.four_bits is not None  # or its settings would not offer them
        graph, weights, how = job.task.four_bits.of_four_bits(variant, model.settings, model.weights, job.prepared)
        record |= how
    return replace(model, graph=graph, weights=weights, done=(*model.done, record))


def prune(variant: Prune, model: Model, job: Job) -> Model:
    """Single weights become zero while the rest is fine-tuned."""
    from llmkit.compression import sparse

    model.require_trainable("prune")
    settings = job.learning.with_less_dropout(_for_fine_tuning(model, variant, PRUNING), 1 - variant.sparsity)
    learner = fine_tuning.learner(job, settings, model.weights)
    learner, settings = fine_tuning.taught(learner, variant, [job.original], settings, job)
    pruned = sparse.Pruned(learner, variant.sparsity)
    learnt = fine_tuning.run(job, pruned, settings, variant, {"from": model.digest})
    zeros = pruned.zero()
    record = {"method": "prune", "how": variant.how, "sparsity": variant.sparsity, **learnt, **zeros}
    return fine_tuning.exported(job, learner, model, model.settings, record)


def remove_units(variant: Prune, model: Model, job: Job) -> Model:
    """The hidden units of least importance go, and the smaller network is fine-tuned."""
    model.require_trainable("prune")
    settings = _for_fine_tuning(model, variant, PRUNING)
    whole = fine_tuning.learner(job, settings, model.weights)
    assert job.task.units is not None  # or its settings would not offer it
    smaller, weights = job.task.units.without_units(whole, model.settings, variant.sparsity)
    smaller = job.learning.with_less_dropout(smaller, (1 - variant.sparsity) ** 2)
    settings = structs.replace(settings, model=smaller.model)
    learner = fine_tuning.learner(job, settings, weights)
    learner, settings = fine_tuning.taught(learner, variant, [job.original], settings, job)
    learnt = fine_tuning.run(job, learner, settings, variant, {"from": model.digest})
    record = {"method": "prune", "how": variant.how, "sparsity": variant.sparsity, **learnt}
    return fine_tuning.exported(job, learner, model, smaller, record)


def distil(variant: Distil[Section], model: Model, job: Job) -> Model:
    """A student of the settings' sizes learns from the model, or from the teacher that they name.

    Where it is its teacher with fewer units it starts with the most important ones of those.
    """
    model.require_trainable("distil")
    teacher = read(read_other(variant.teacher, job), job.task) if variant.teacher else model
    student = (
        structs.replace(model.settings, model=variant.model) if variant.model else job.learning.half(model.settings)
    )
    record = {"method": "distil"}
    start = _with_fewer_units(teacher, student, job)
    if start is not None:
        record["started_as"] = "the teacher with fewer units"
    return _learn(variant, model, [teacher], student, job, record, start)


def fuse(variant: Fuse[Section], model: Model, job: Job) -> Model:
    """A student learns from the mean of the members' probabilities, starting as the best member of its sizes.

    Lin et al., "Ensemble distillation for robust model fusion in federated learning" (arXiv 2006.07242, algorithm 1)
    start it as the members' average, which is worth nothing where they have no origin in common.
    """
    members = [read(read_other(path, job), job.task) for path in variant.members]
    student = structs.replace(model.settings, model=variant.model) if variant.model else model.settings
    record = {"method": "fuse", "how": variant.how, "members": variant.members}
    start = _best_of_its_sizes(members, variant.members, student, job)
    if start is None:
        return _learn(variant, model, members, student, job, record)
    job.ui.info(f"the student starts as {variant.members[start]}")
    record["started_as"] = variant.members[start]
    return _learn(variant, model, members, student, job, record, members[start].weights)


def _with_fewer_units(teacher: Model, student: Root, job: Job) -> dict[str, np.ndarray] | None:
    """The weights of a teacher's most important units for a student that differs in their number alone."""
    if not job.task.units:
        return None
    hidden, there = job.task.units.units(teacher.settings), sum(array.size for array in teacher.weights.values())
    if hidden * hidden > there:  # before a network of such a size is built
        raise InputError(
            f"a teacher's config says {hidden:,} hidden units, and it has {there:,} weights; make it again"
        )
    whole = fine_tuning.learner(job, teacher.settings, teacher.weights)
    return job.task.units.units_for(fine_tuning.learner(job, student, None), whole, teacher.settings)


def _best_of_its_sizes(members: list[Model], names: list[str], student: Root, job: Job) -> int | None:
    """Index of the member of least validation loss among those that have a student's sizes."""
    weights = fine_tuning.learner(job, student, None).export().weights
    sizes = {name: array.shape for name, array in weights.items()}
    losses: dict[int, float] = {}
    for index, (member, name) in enumerate(zip(members, names, strict=True)):
        if {part: array.shape for part, array in member.weights.items()} == sizes:
            losses[index] = validation_loss(member, job)
            job.ui.info(f"{name}: val_loss {losses[index]:.4f}")
    return min(losses, key=losses.__getitem__, default=None)


def fuse_weights(variant: Fuse[Section], model: Model, job: Job) -> Model:
    """Averaged weights of members of one origin, as many of them as help."""
    folders = [read_other(path, job) for path in variant.members]
    soup.check_origin(folders)
    members = [replace(read(folder, job.task), done=model.done) for folder in folders]
    soup.check_sizes(members, variant.members)
    fused, record = soup.greedy(members, variant.members, job)
    return replace(fused, done=(*model.done, {"method": "fuse", "how": variant.how, **record}))


def parents(variant: Variant) -> dict[str, str]:
    """{path: hash of the manifest} of the other folders that a variant reads. Raises InputError for a missing one."""
    return {path: artifacts.read(Path(path), verify=False).hash for path in others(variant)}


def _learn(
    variant: Distil[Section] | Fuse[Section],
    model: Model,
    teachers: list[Model],
    student: Root,
    job: Job,
    record: Record,
    start: dict[str, np.ndarray] | None = None,
) -> Model:
    """A student learns from teachers, from the weights `start` on, else from random ones."""
    settings = structs.replace(student, train=fine_tuning.training(student.train, variant, LEARNING_ANEW))
    learner = fine_tuning.learner(job, settings, start)
    learner, settings = fine_tuning.taught(learner, variant, teachers, settings, job)
    identity = {"model": to_data(settings.model), "teachers": [teacher.digest for teacher in teachers]}
    learnt = fine_tuning.run(job, learner, settings, variant, identity)
    return fine_tuning.exported(job, learner, model, student, record | learnt)


def _for_fine_tuning(model: Model, variant: FineTuning, share: float) -> Root:
    return structs.replace(model.settings, train=fine_tuning.training(model.settings.train, variant, share))
