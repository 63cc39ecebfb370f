"""The loss of a student by hand and against torch, a teacher's own state, and what a student learns."""

import copy
import math

import numpy as np
import pytest
import torch
from msgspec import structs
from torch.nn import functional as F

from llmkit.compression import fine_tuning, methods
from llmkit.compression.model import read, validation_loss
from llmkit.tasks import TASKS, experiment as experiments
from llmkit.tasks.language import compress, units
from llmkit.tasks.language.settings import Distil, Fuse, Model
from llmkit.training import distillation


def test_the_loss_by_hand():
    # Student: probabilities 1/2, 1/2; teacher: 3/4, 1/4; target 0.
    found = distillation.loss(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([[0.75, 0.25]]), 1.0, 0.25)
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert found.item() == pytest.approx(0.75 * math.log(2) + 0.25 * divergence)


@pytest.mark.parametrize(("temperature", "mix"), [(1.0, 0.5), (3.0, 0.9), (0.5, 1.0), (2.0, 0.0)])
def test_the_loss_against_torch(temperature, mix):
    torch.manual_seed(0)
    logits, teachers, targets = torch.randn(20, 7), [torch.randn(20, 7) for _ in range(2)], torch.randint(0, 7, (20,))
    soft = distillation.probabilities(teachers, temperature)
    mean = sum(torch.softmax(teacher / temperature, 1) for teacher in teachers) / 2
    torch.testing.assert_close(soft, mean)
    student = torch.log_softmax(logits / temperature, 1)
    expected = (1 - mix) * F.cross_entropy(logits, targets) + mix * temperature**2 * F.kl_div(
        student, mean, reduction="batchmean"
    )
    torch.testing.assert_close(distillation.loss(logits, targets, soft, temperature, mix), expected)


@pytest.fixture
def beside(monkeypatch):
    """Teachers read beside the learner: there is no memory for their answers."""
    monkeypatch.setattr(compress, "ANSWER_BYTES", 0)


def read_run(path):
    return read(experiments.read_model(path), TASKS["language"])


def taught_by(learner, teachers, temperature, mix):
    return compress.taught(learner, teachers, temperature, mix, lambda *progress: None)


def with_budget(settings, steps):
    train = structs.replace(settings.train, steps=steps, max_minutes=None, epochs=None)
    return structs.replace(settings, train=train)


def test_answers_that_are_kept_are_those_of_the_whole_text_read_once(job):
    model = job.original
    learner = fine_tuning.learner(job, with_budget(model.settings, 10_000), None)
    taught = taught_by(learner, [(model.settings, model.weights)] * 2, 2.0, 1.0)
    taught.step(0.0, 0.0)
    tokens = torch.from_numpy(np.append(learner.streams.tokens, learner.streams.tokens[0]).astype(np.int64))
    teacher = taught.teachers[0]
    with torch.no_grad():
        logits, _ = teacher(tokens[:-1, None], teacher.initial_state(1), torch.float32)
    expected = torch.softmax(logits[:, 0] / 2.0, 1).numpy()
    assert taught.answers.shape == (len(tokens) - 1, taught.network.vocab_size)
    np.testing.assert_allclose(taught.answers, expected, atol=2e-3)  # float16, and a warm-up where parts begin
    places = learner.streams.places[:-1]
    np.testing.assert_array_equal(
        taught._kept(taught.answers).numpy(), taught.answers[places.ravel()].astype(np.float32)
    )
    np.testing.assert_array_equal(learner.streams.tokens[places[1:]], learner.streams.tokens[places[:-1] + 1])


def test_where_the_text_is_not_read_twice_no_answers_are_kept(job):
    model = job.original
    learner = fine_tuning.learner(job, with_budget(model.settings, 1), None)
    taught = taught_by(learner, [(model.settings, model.weights)], 1.0, 0.5)
    taught.step(0.0, 0.0)
    assert taught.answers is None


def test_a_model_that_is_its_own_teacher_has_nothing_to_learn_from_it(job, beside):
    """All the loss is the divergence from the teacher, through resets and carried states: zero, window by window."""
    model = job.original
    learner = fine_tuning.learner(job, model.settings, model.weights)
    learner.network.input_dropout = learner.network.recurrent_dropout = learner.network.dropout = 0.0
    learner.streams.resets = 0.5
    taught = taught_by(learner, [(model.settings, model.weights)], 2.0, 1.0)
    assert [abs(learner.step(0.0, 0.0).item()) < 1e-6 for _ in range(6)] == [True] * 6
    assert taught.states[0][0].abs().max() > 0


def test_the_teachers_share_falls_with_the_learning_rate(job):
    model = job.original
    learner = fine_tuning.learner(job, model.settings, None)
    taught = taught_by(learner, [(model.settings, model.weights)], 1.0, 0.6)
    peak = model.settings.train.learning_rate
    shares = []
    for rate in (peak, peak / 2, 0.0):
        taught.step(rate, 0.0)
        shares.append(taught.share)
    assert shares == pytest.approx([0.6, 0.3, 0.0])


def test_mixed_targets_have_the_gradient_of_the_loss_at_temperature_1():
    torch.manual_seed(0)
    logits, tokens, soft = torch.randn(7, 5), torch.randint(5, (7,)), torch.rand(7, 5).softmax(dim=1)
    mixed = distillation.targets(tokens, soft, 0.3)
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(7))
    gradients = []
    for value in (
        lambda x: distillation.loss(x, tokens, soft, 1.0, 0.3),
        lambda x: F.cross_entropy(x, mixed),
    ):
        x = logits.clone().requires_grad_()
        value(x).backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)
    entropy = -(soft * soft.log()).sum(dim=1).mean()
    expected = distillation.loss(logits, tokens, soft, 1.0, 0.3)
    torch.testing.assert_close(F.cross_entropy(logits, mixed) - 0.3 * entropy, expected)


def test_the_state_of_a_teacher_is_saved(job, beside):
    model = job.original
    learners = [
        taught_by(fine_tuning.learner(job, model.settings, None), [(model.settings, model.weights)], 1.0, 0.5)
        for _ in range(2)
    ]
    for _ in range(3):
        learners[0].step(0.01, 0.0)
    learners[1].load_weights(learners[0].weights())
    tensors, plain = learners[0].state()
    learners[1].load_state({name: tensor.clone() for name, tensor in tensors.items()}, copy.deepcopy(plain))
    random = torch.get_rng_state()
    losses = []
    for learner in learners:
        torch.set_rng_state(random)
        losses.append([learner.step(0.01, 0.0).item() for _ in range(3)])
    assert losses[0] == losses[1]


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


def test_one_teacher_twice_is_one_teacher(job, tiny_run):
    """An ensemble of equal members gives the student of one of them."""
    learners = []
    for count in (1, 2):
        learner = fine_tuning.learner(job, job.original.settings, None)
        pairs = [(job.original.settings, job.original.weights)] * count
        taught = taught_by(learner, pairs, 1.5, 0.7)
        torch.manual_seed(0)
        taught.step(0.01, 0.0)
        learners.append(learner)
    for one, other in zip(learners[0].weights().values(), learners[1].weights().values(), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)


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
    losses = {path: validation_loss(read_run(path), job) for path in members[1:]}
    best = min(losses, key=losses.__getitem__)
    assert made.done[0]["started_as"] == best
    for name, array in read_run(best).weights.items():
        np.testing.assert_allclose(made.weights[name], array, atol=1e-6)
    alone = structs.replace(variant, model=Model(hidden_size=10))
    assert "started_as" not in methods.apply(alone, job.original, job).done[0]
