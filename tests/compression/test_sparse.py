"""Which weights become zero, and when: against the definition, exact in number, through a fine-tuning and on resume."""

import types

import numpy as np
import pytest
import torch
from msgspec import structs

from llmkit.compression import fine_tuning, methods, sparse
from llmkit.config.training import Training
from llmkit.config.variants import Chain, Prune
from llmkit.errors import Interrupted
from llmkit.training import loop


def test_scores_are_those_of_the_paper():
    weights = {"a": torch.tensor([[3.0, -1.0], [2.0, 4.0]]), "b": torch.tensor([[10.0, 30.0]])}
    # Squares over the sum of the squares as large or larger: a: 9/25, 1/30, 4/29, 16/16; b: 100/1000, 900/900.
    stays = sparse.masks(weights, 0.5)  # three of six go: 1/30, 100/1000, 4/29
    assert stays["a"].tolist() == [[True, False], [False, True]]
    assert stays["b"].tolist() == [[False, True]]


@pytest.mark.parametrize("sparsity", [0.001, 0.37, 0.8, 0.999])
def test_the_sparsity_is_reached_exactly_even_among_equals(sparsity):
    weights = {"a": torch.ones(7, 11), "b": torch.randn(5, 13), "bias": torch.ones(9)}
    sparse.prune(weights, sparsity)
    zeros = sum(int((weights[name] == 0).sum()) for name in "ab")
    assert zeros == round(sparsity * (77 + 65))
    assert (weights["bias"] == 1).all()


def test_pruning_further_keeps_the_zeros():
    weights = {"a": torch.randn(20, 20)}
    before = sparse.prune(weights, 0.5)["a"]
    after = sparse.prune(weights, 0.6)["a"]
    assert not (after & ~before).any()


def test_the_schedule_is_cubic_and_ends_at_the_ramp():
    assert sparse.scheduled(0.8, 0) == 0
    assert sparse.scheduled(0.8, sparse.RAMP / 2) == pytest.approx(0.8 * 7 / 8)
    assert sparse.scheduled(0.8, sparse.RAMP) == sparse.scheduled(0.8, 1.0) == 0.8


def zeros(weights: dict[str, np.ndarray]) -> int:
    return sum(int((array == 0).sum()) for name, array in weights.items() if array.ndim > 1 and name[-2:] != ".B")


@pytest.mark.parametrize("budget", [{"steps": 4}, {"max_minutes": 2}, {"epochs": 1}])
def test_the_share_of_each_kind_of_budget_that_is_spent(job, monkeypatch, tmp_path, budget):
    """A step takes half a minute of a clock that stands still else."""
    clock, shares, epochs, step = [0.0], [], [], sparse.Pruned.step

    def noted(self, rate, spent):
        shares.append(spent)
        epochs.append(self.epochs)
        clock[0] += 30.0
        return step(self, rate, spent)

    monkeypatch.setattr(sparse.Pruned, "step", noted)
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    learner = fine_tuning.learner(job, job.original.settings, job.original.weights)
    pruned = sparse.Pruned(learner, 0.5)
    settings = Training(**budget, validation_steps=1)
    loop.run(pruned, settings, tmp_path, {}, lambda event: None, lambda message: None)
    left = 120 - 12 * loop.RESERVE  # seconds: a tenth of a budget in minutes is kept for the validation at its end
    expected = {
        "steps": [0.0, 0.25, 0.5, 0.75],
        "max_minutes": [0.0, 30 / left, 60 / left, 90 / left],
        "epochs": epochs,
    }
    assert shares == pytest.approx(expected[next(iter(budget))])
    assert epochs[:2] == [0.0, pytest.approx(learner.step_count / len(learner.streams.tokens), rel=0.3)]
    assert pruned.chosen_for == 0.5


def test_what_is_zero_is_chosen_anew_now_and_then_by_the_share_that_is_spent(job):
    """From the second step on, as before the first one nothing is spent; each twentieth, and where the ramp ends."""
    learner = fine_tuning.learner(job, job.original.settings, job.original.weights)
    pruned = sparse.Pruned(learner, 0.5)
    chosen = []
    for step in range(60):
        pruned.step(0.01, step / 100)
        chosen.append(pruned.chosen_for)
    at = {step: sparse.scheduled(0.5, step / 100) for step in (1, 21, 41)} | {50: 0.5}
    assert chosen == [at[max((s for s in at if s <= step), default=1)] if step else 0.0 for step in range(60)]
    found = sparse.matrices(learner.weights()).values()
    assert sum(int((weight == 0).sum()) for weight in found) == round(0.5 * sum(weight.numel() for weight in found))


@pytest.mark.parametrize("steps", [0, 12])
def test_a_pruned_model_has_its_zeros_and_the_loss_that_was_selected(job, steps):
    made = methods.apply(Prune(sparsity=0.75, steps=steps), job.original, job)
    [record] = made.done
    prunable = sum(array.size for name, array in made.weights.items() if array.ndim > 1 and name[-2:] != ".B")
    assert record["prunable"] == prunable
    assert record["zeros"] == zeros(made.weights) == round(0.75 * prunable)
    assert record["steps"] == steps
    if steps:
        assert any((made.weights[name] != job.original.weights[name]).any() for name in made.weights)


def test_validation_while_the_sparsity_rises_is_that_of_the_whole_sparsity(job):
    learner = fine_tuning.learner(job, job.original.settings, job.original.weights)
    pruned = sparse.Pruned(learner, 0.75)
    pruned.step(0.01, 0.0)
    before = {name: weight.clone() for name, weight in learner.weights().items()}
    found = pruned.validate()["val_loss"]
    assert all(torch.equal(before[name], weight) for name, weight in learner.weights().items())
    assert found != learner.validate()["val_loss"]
    sparse.prune(learner.weights(), 0.75)
    assert found == learner.validate()["val_loss"]


def test_an_interrupted_fine_tuning_goes_on_and_ends_where_another_ends(job, monkeypatch):
    variant = Prune(sparsity=0.5, steps=50, learning_rate=0.01)
    whole = methods.apply(variant, job.original, job)
    for place in job.work.rglob("*"):
        if place.is_file():
            place.unlink()
    step, count = sparse.Pruned.step, 0

    def interrupted(self, rate, spent):
        nonlocal count
        count += 1
        if count == 25:  # in the middle of the ramp, with masks of an earlier step
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)
        return step(self, rate, spent)

    monkeypatch.setattr(sparse.Pruned, "step", interrupted)
    with pytest.raises(Interrupted):
        methods.apply(variant, job.original, job)
    assert count == 25
    again = methods.apply(variant, job.original, job)
    assert count == 50
    assert again.digest == whole.digest


def test_a_chain_is_its_steps_one_by_one(job):
    steps = [Prune(how="structured", sparsity=0.5, steps=3), Prune(sparsity=0.5, steps=3)]
    chained = methods.apply(Chain(steps=steps), job.original, job)
    model = job.original
    for step in steps:
        model = methods.apply(step, model, job)
    assert chained.digest == model.digest
    assert chained.done == model.done
    assert len(chained.done) == 2


def test_the_loop_does_not_take_an_early_fuller_network_for_the_best(job, monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "validation_interval", lambda settings, learner: 2)
    validate = sparse.Pruned.validate

    def noted(self, share=1.0):
        figures = validate(self, share)
        seen.append(figures["val_loss"])
        return figures

    monkeypatch.setattr(sparse.Pruned, "validate", noted)
    settings = job.original.settings
    learner = fine_tuning.learner(job, settings, job.original.weights)
    wanted = Prune(sparsity=0.9, steps=20)
    settings = structs.replace(settings, train=fine_tuning.training(settings.train, wanted, 1.0))
    pruned = sparse.Pruned(learner, 0.9)
    fine_tuning.run(job, pruned, settings, wanted, {})
    pruned.zero()
    assert learner.validate()["val_loss"] == min(seen)
