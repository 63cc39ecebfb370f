"""Students of one teacher and of an ensemble: their sizes, what they start as, and that they learn."""

import numpy as np
from msgspec import structs

from llmkit.compression import fine_tuning, methods
from llmkit.compression.model import read, validation_loss
from llmkit.tasks import TASKS, experiment as experiments
from llmkit.tasks.language import units
from llmkit.tasks.language.settings import Distil, Fuse, Model


def test_students_have_their_sizes_and_learn(job):
    student = methods.apply(Distil(model=Model(hidden_size=12, embedding_size=5), steps=40), job.original, job)
    assert student.weights["lstm0.R"].shape == (1, 48, 12)
    assert student.settings.model.hidden_size == 12
    assert student.parameters == sum(array.size for array in student.weights.values()) - 48  # ONNX has two biases
    start = methods.apply(Distil(model=Model(hidden_size=12, embedding_size=5), steps=1), job.original, job)
    losses = []
    for model in (start, student):
        learner = fine_tuning.learner(job, model.settings, model.weights)
        losses.append(learner.validate()["val_loss"])
    assert losses[1] < losses[0] - 0.05
    assert methods.apply(Distil(steps=1), job.original, job).settings.model.hidden_size == 8  # half of 16


def test_a_student_with_fewer_units_starts_with_the_most_important_ones(job):
    """A step at a learning rate of next to nothing leaves the weights where they began."""
    variant = Distil(model=Model(hidden_size=12, embedding_size=8), steps=1, learning_rate=1e-9)
    made = methods.apply(variant, job.original, job)
    assert made.done[0]["started_as"] == "the teacher with fewer units"
    whole = fine_tuning.learner(job, job.original.settings, job.original.weights)
    places = [np.sort(np.argsort(-scores)[:12]) for scores in units.importance(whole)]
    for name, array in units.keep_units(job.original.weights, places).items():
        np.testing.assert_allclose(made.weights[name], array, atol=1e-6)
    for other in (Model(hidden_size=12, embedding_size=5), Model(hidden_size=20, embedding_size=8)):
        assert "started_as" not in methods.apply(Distil(model=other, steps=1), job.original, job).done[0]


def test_a_member_of_an_ensemble_may_have_other_sizes(job, other_sizes, tiny_run):
    variant = Fuse(members=[str(tiny_run.model), str(other_sizes)], how="distil", steps=2)
    made = methods.apply(variant, job.original, job)
    assert made.done[0]["members"] == variant.members
    assert made.settings.model.hidden_size == 16


def test_the_student_of_an_ensemble_starts_as_the_best_member_of_its_sizes(job, tiny_run, other_sizes, started):
    """A step at a learning rate of next to nothing leaves the weights where they began."""
    members = [str(other_sizes), str(tiny_run.model), *map(str, started)]
    variant = Fuse(members=members, how="distil", steps=1, learning_rate=1e-9)
    made = methods.apply(variant, job.original, job)
    losses = {path: validation_loss(read(experiments.read_model(path), TASKS["language"]), job) for path in members[1:]}
    best = min(losses, key=losses.__getitem__)
    assert made.done[0]["started_as"] == best
    for name, array in read(experiments.read_model(best), TASKS["language"]).weights.items():
        np.testing.assert_allclose(made.weights[name], array, atol=1e-6)
    alone = structs.replace(variant, model=Model(hidden_size=10))
    assert "started_as" not in methods.apply(alone, job.original, job).done[0]
