"""The learner of examples: averaged weights, exact resume, divergence, several processes."""

import sys

import numpy as np
import pytest
import torch
from processes import in_processes
from safetensors.torch import load_file, save_file

from llmkit.compression import sparse
from llmkit.errors import ConfigError, Diverged
from llmkit.predicting.learner import ExampleLearner, Examples, Shipping
from llmkit.predicting.objectives import Labels
from llmkit.tasks.table.settings import Train
from llmkit.training import distributed, loop
from llmkit.training.devices import Hardware

GENERATOR = np.random.default_rng(0)
POINTS = GENERATOR.normal(size=(60, 2)).astype(np.float32)
LABELS = (POINTS.sum(axis=1) > 0).astype(np.int64)


def make(settings, labels=LABELS, dropout=0.2, fit=None):
    torch.manual_seed(1)
    points = torch.from_numpy(POINTS)
    train, cpu = np.arange(45), torch.device("cpu")
    return ExampleLearner(
        torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Dropout(dropout), torch.nn.Linear(8, 2)),
        Examples(lambda examples: [points[torch.from_numpy(examples)]], train, np.arange(45, 60)),
        Labels(labels, ["no", "yes"], train, settings, cpu),
        Shipping(lambda network: (None, {}), {}, lambda network, folder: None),
        settings,
        1,
        Hardware(cpu, torch.float32),
        fit,
    )


def run(folder, settings, **how):
    learner = make(settings)
    outcome = loop.run(learner, settings, folder, {}, lambda event: None, lambda message: None, **how)
    return learner, outcome


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
        learner.step(0.01, 0.0)
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
        run(tmp_path / "halves", settings, give_up=stop)
    _, resumed = run(tmp_path / "halves", settings)
    assert (whole.val_loss, whole.count) == (resumed.val_loss, resumed.count)
    assert all(torch.equal(whole.weights[name], resumed.weights[name]) for name in whole.weights)


def test_training_that_diverges_stops_at_once_and_says_what_to_change(tmp_path):
    with pytest.raises(Diverged, match=r"the loss of step \d+ is (nan|inf); lower train.learning_rate"):
        run(tmp_path, Train(steps=50, batch_size=9, learning_rate=1e30, warmup_steps=0))


def test_pruned_weights_are_zero_in_the_averages_and_in_what_the_steps_change():
    learner = make(Train(batch_size=9))
    pruned = sparse.Pruned(learner, 0.5)
    for step in range(4):
        pruned.step(0.01, step / 4)
    for weights in (learner.averages.tensors, learner.network.state_dict()):
        found = sparse.matrices(weights)
        assert sum(int((weight == 0).sum()) for weight in found.values()) == 16  # of 2·8 + 8·2
    pruned.step(0.01, 1.0)
    assert all((learner.averages.tensors[name][~mask] == 0).all() for name, mask in pruned.stays.items())


def test_what_is_fitted_at_once_is_fitted_once_and_not_again_by_a_run_that_goes_on(tmp_path):
    fitted = []

    class Stopped(Exception):
        pass

    def stop(spent, loss):
        if spent > 0.6:
            raise Stopped

    def go(**how):
        learner = make(Train(steps=10, batch_size=9, checkpoint_steps=3, validation_steps=4), fit=fitted.append)
        loop.run(learner, learner.settings, tmp_path, {}, lambda event: None, lambda message: None, **how)

    with pytest.raises(Stopped):
        go(give_up=stop)
    assert len(fitted) == 1
    go()
    assert len(fitted) == 1


def test_the_last_weights_are_kept_where_the_config_says_so(tmp_path):
    settings = {"steps": 60, "batch_size": 9, "learning_rate": 0.5, "validation_steps": 5}
    _, best = run(tmp_path / "best", Train(**settings))
    learner, last = run(tmp_path / "last", Train(**settings, keep="last"))
    assert best.best_step < 60 and last.best_step == 60 and last.val_loss > best.val_loss
    assert all(torch.equal(last.weights[name], tensor) for name, tensor in learner.weights().items())


def test_validation_does_not_mind_that_the_weights_are_too_sure(monkeypatch):
    monkeypatch.setattr("llmkit.predicting.metrics.TEMPERATURE_DEVIATION", 1e3)
    learner = make(Train())
    losses = []
    for _ in range(2):
        losses.append(learner.validate()["val_loss"])
        for name in ("3.weight", "3.bias"):
            learner.averages.tensors[name].mul_(3)  # the same predictions, three times as sure
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_three_processes_train_as_one_does(tmp_path, class_weights):
    labels = np.where(np.arange(60) % 5 == 0, 1, LABELS)
    settings = Train(batch_size=18, class_weights=class_weights, label_smoothing=0.1, gradient_clip=0.3)

    def train(processes):
        learner = make(settings, labels, dropout=0.0)
        if processes.count > 1:
            learner.distribute(processes)
        losses = [processes.sum(learner.step(0.03, 0.0).item() / processes.count)[0] for _ in range(12)]
        found = torch.tensor([*losses, learner.validate()["val_loss"], learner.count], dtype=torch.float64)
        save_file(learner.weights() | {"figures": found}, tmp_path / f"{processes.count}-{processes.rank}")

    train(distributed.ALONE)
    assert in_processes(3, train) == [0, 0, 0]
    alone, first, *others = (load_file(tmp_path / name) for name in ("1-0", "3-0", "3-1", "3-2"))
    assert alone["figures"][0] - alone["figures"][11] > 0.01
    for name in alone:
        torch.testing.assert_close(first[name], alone[name], atol=1e-5, rtol=0)
        assert all(torch.equal(other[name], first[name]) for other in others)


def test_batches_that_do_not_fall_into_equal_parts_are_refused():
    with pytest.raises(ConfigError, match="45 examples in batches of 18 do not fall into equal parts for 2 processes"):
        make(Train(batch_size=18)).distribute(distributed.Processes(0, 2))
