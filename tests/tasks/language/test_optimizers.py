"""Which optimizer has which weights, and how long Muon's steps are."""

import pytest
import torch
from hypothesis import given, strategies as st

from llmkit.tasks.language import optimizers
from llmkit.tasks.language.network import LanguageModel
from llmkit.tasks.language.settings import Train
from llmkit.training.muon import Muon


def made(tied: bool = False, steps: float = optimizers.LONG, **settings):
    network = LanguageModel(12, 8, 6, 2, tie_weights=tied)
    return network, optimizers.of(network, Train(**settings), torch.float32, steps)


@pytest.mark.parametrize("tied", [False, True])
def test_every_weight_has_one_optimizer_and_the_gates_have_muon(tied):
    network, (adamw, muon) = made(tied)
    trained = [weight for each in (adamw, muon) for group in each.param_groups for weight in group["params"]]
    assert sorted(map(id, trained)) == sorted(map(id, network.parameters()))
    gates = [weight for group in muon.param_groups for weight in group["params"]]
    assert {id(weight) for weight in gates} == {id(weight) for weight in [*network.weight_ih, *network.weight_hh]}


def test_adamw_alone():
    network, [adamw] = made(optimizer="adamw")
    assert isinstance(adamw, torch.optim.AdamW)
    assert len(adamw.param_groups[0]["params"]) == len(list(network.parameters()))


@pytest.mark.parametrize(("steps", "scale"), [(0, 2), (1, 2), (300, 2), (300 * 10**0.5, 2**0.5), (3000, 1), (1e9, 1)])
def test_steps_are_longer_in_short_trainings(steps, scale):
    assert optimizers.step_scale(steps) == pytest.approx(scale)
    _, (_, muon) = made(steps=steps)
    assert isinstance(muon, Muon)
    assert muon.param_groups[0]["scale"] == pytest.approx(scale)
    _, (_, muon) = made(tied=True, steps=steps)
    assert muon.param_groups[0]["scale"] == 1


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_more_steps_are_never_longer_ones(few, many):
    assert optimizers.step_scale(min(few, many)) >= optimizers.step_scale(max(few, many))
