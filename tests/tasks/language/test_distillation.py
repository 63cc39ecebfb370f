"""Teachers of a language model: answers kept or read beside the student, their own state, their share of the loss."""

import copy

import numpy as np
import pytest
import torch
from msgspec import structs

from llmkit.compression import fine_tuning
from llmkit.tasks.language import compress


def taught_by(learner, teachers, temperature, mix):
    return compress.taught(learner, teachers, temperature, mix, lambda *progress: None)


@pytest.fixture
def beside(monkeypatch):
    """Teachers read beside the learner: there is no memory for their answers."""
    monkeypatch.setattr(compress, "ANSWER_BYTES", 0)


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
