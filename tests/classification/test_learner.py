"""The learner of classifiers: batches, averaged weights, exact resume, divergence."""

import numpy as np
import pytest
import torch

from llmkit.classification.learner import Batches, ClassifierLearner
from llmkit.errors import Diverged
from llmkit.tasks.table.settings import Train
from llmkit.training import loop

GENERATOR = np.random.default_rng(0)
POINTS = GENERATOR.normal(size=(60, 2)).astype(np.float32)
LABELS = (POINTS.sum(axis=1) > 0).astype(np.int64)


def make(settings, labels=LABELS):
    torch.manual_seed(1)
    points = torch.from_numpy(POINTS)
    return ClassifierLearner(
        torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2)),
        lambda examples: [points[torch.from_numpy(examples)]],
        labels,
        ["no", "yes"],
        np.arange(45),
        np.arange(45, 60),
        settings,
        1,
        torch.device("cpu"),
        torch.float32,
        lambda network: (None, {}),
        {},
        lambda network, folder: None,
    )


def run(folder, settings, **how):
    learner = make(settings)
    outcome = loop.run(learner, settings, folder, {}, lambda event: None, lambda message: None, **how)
    return learner, outcome


def test_a_pass_brings_every_example_once_and_the_next_one_another_order():
    batches = Batches(np.arange(10, 20), 4, seed=3)
    passes = [[batches.next().tolist() for _ in range(3)] for _ in range(2)]
    assert [len(batch) for batch in passes[0]] == [4, 4, 2]
    assert [sorted(number for batch in part for number in batch) for part in passes] == [list(range(10, 20))] * 2
    assert passes[0] != passes[1]


def test_examples_of_about_one_length_come_together():
    lengths = GENERATOR.integers(1, 100, 256)
    batches = Batches(np.arange(256), 8, 0, lengths)
    spans = [np.ptp(lengths[batches.next()]) for _ in range(32)]
    assert np.mean(spans) < 10  # of random batches it is about 80


def test_it_learns_a_line_and_the_average_is_what_is_kept(tmp_path):
    settings = Train(epochs=40, batch_size=9, learning_rate=0.02)
    learner, outcome = run(tmp_path, settings)
    assert outcome.val_loss < 0.25
    assert any(not torch.equal(outcome.weights[name], tensor) for name, tensor in learner.network.state_dict().items())
    learner.load_weights(outcome.weights)
    assert learner.validate()["val_loss"] == pytest.approx(outcome.val_loss)


def test_the_average_is_that_of_the_weights_after_each_step():
    learner = make(Train(steps=9, batch_size=9, average=0.5))
    expected = {name: tensor.clone() for name, tensor in learner.weights().items()}
    for step in range(1, 30):
        learner.step(0.01)
        decay = min(0.5, step / (step + 9))
        for name, tensor in learner.network.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor
    for name, tensor in learner.weights().items():
        torch.testing.assert_close(tensor, expected[name])


def test_a_run_that_was_stopped_ends_bit_for_bit_where_another_ends(tmp_path):
    settings = Train(steps=17, batch_size=8, checkpoint_steps=3, validation_steps=4)

    class Stopped(Exception):
        pass

    def stop(spent, loss):
        if spent > 0.6:
            raise Stopped

    _, whole = run(tmp_path / "whole", settings)
    with pytest.raises(Stopped):
        run(tmp_path / "halves", settings, prune=stop)
    _, resumed = run(tmp_path / "halves", settings)
    assert (whole.val_loss, whole.count) == (resumed.val_loss, resumed.count)
    assert all(torch.equal(whole.weights[name], resumed.weights[name]) for name in whole.weights)


def test_balanced_weights_make_rare_labels_count_as_much():
    labels = LABELS.copy()
    labels[:45] = [0] * 36 + [1] * 9
    learner = make(Train(class_weights="balanced"), labels)
    assert learner.class_weights.tolist() == pytest.approx([45 / (2 * 36), 45 / (2 * 9)])


def test_training_that_diverges_stops_at_once_and_says_what_to_change(tmp_path):
    with pytest.raises(Diverged, match=r"the loss of step \d+ is (nan|inf); lower train.learning_rate"):
        run(tmp_path, Train(steps=50, batch_size=9, learning_rate=1e30, warmup_steps=0))
