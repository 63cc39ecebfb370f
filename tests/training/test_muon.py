"""Muon: against singular value decompositions, against torch's own for one matrix, and block by block."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.utils.flop_counter import FlopCounterMode

from llmkit.training.muon import ADAM_RMS, Muon, orthogonalized


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 999), st.floats(1e-6, 1e6))
def test_orthogonalized_keeps_the_singular_vectors_and_evens_out_the_values(rows, columns, seed, scale):
    matrix = torch.randn(2, rows, columns, generator=torch.Generator().manual_seed(seed)).double()
    found = orthogonalized(matrix * scale)
    for before, after in zip(matrix, found, strict=True):
        u, values, v = torch.linalg.svd(before, full_matrices=False)
        inside = u.T @ after @ v.T
        assert torch.allclose(inside, torch.diag(inside.diagonal()), atol=1e-9)
        large = values > 0.05 * values.norm()
        assert inside.diagonal()[large].min() > 0.6 and inside.diagonal().max() < 1.25


def test_one_matrix_is_what_torch_does(monkeypatch):
    monkeypatch.setattr("llmkit.training.muon.ITERATIONS", 5)
    ours, theirs = (torch.nn.Parameter(torch.randn(12, 8, generator=torch.Generator().manual_seed(1))) for _ in "ab")
    muon = Muon([ours], 0.02, weight_decay=0.1, number_type=torch.bfloat16)
    reference = torch.optim.Muon([theirs], 0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    generator = torch.Generator().manual_seed(2)
    for _ in range(5):
        ours.grad = torch.randn(12, 8, generator=generator)
        theirs.grad = ours.grad.clone()
        muon.step()
        reference.step()
    assert (ours - theirs).abs().max() < 1e-3  # of steps of 0.004; bfloat16 keeps 8 bits


@pytest.mark.parametrize("columns", [2, 5])  # blocks taller and wider than they are long
def test_blocks_are_matrices_of_their_own(columns):
    generator = torch.Generator().manual_seed(1)
    start, gradient = torch.randn(2, 12, columns, generator=generator)
    joined = torch.nn.Parameter(start.clone())
    apart = [torch.nn.Parameter(part.clone()) for part in start.split(3)]
    joined.grad = gradient
    for part, own in zip(apart, gradient.split(3), strict=True):
        part.grad = own
    Muon([joined], 0.1, blocks=4).step()
    Muon(apart, 0.1).step()
    assert torch.allclose(joined, torch.cat(apart), atol=1e-6)


def test_a_step_is_as_long_as_one_of_adamw():
    generator = torch.Generator().manual_seed(1)
    weight = torch.nn.Parameter(torch.zeros(64, 64))
    weight.grad = torch.randn(64, 64, generator=generator)
    Muon([weight], 0.01).step()
    assert weight.detach().square().mean().sqrt().item() == pytest.approx(ADAM_RMS * 0.01, rel=0.2)


def test_scale_makes_steps_longer_and_leaves_decay():
    weight = torch.nn.Parameter(torch.ones(6, 6))
    other = torch.nn.Parameter(torch.ones(6, 6))
    for each in (weight, other):
        each.grad = torch.randn(6, 6, generator=torch.Generator().manual_seed(1))
    Muon([weight], 0.1, weight_decay=0.5).step()
    Muon([other], 0.1, weight_decay=0.5, scale=2.0).step()
    assert torch.allclose(other - 0.95, 2 * (weight - 0.95), atol=1e-6)


@pytest.mark.parametrize("shape", [(32, 24), (48, 8)])  # blocks wider and narrower than they are long
def test_flops_are_those_of_the_products_that_are_run(shape):
    weight = torch.nn.Parameter(torch.zeros(shape))
    weight.grad = torch.ones(shape)
    muon = Muon([weight], 0.1, blocks=4)
    with FlopCounterMode(display=False) as counter:
        muon.step()
    assert counter.get_total_flops() == muon.flops_per_step


def test_weight_decay_alone():
    weight = torch.nn.Parameter(torch.ones(4, 4))
    weight.grad = torch.zeros(4, 4)
    Muon([weight], 0.1, weight_decay=0.5).step()
    assert torch.allclose(weight, torch.full((4, 4), 0.95))
