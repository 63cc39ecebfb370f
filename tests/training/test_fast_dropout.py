"""Dropout by random bytes."""

import pytest
import torch

from llmkit.training.fast_dropout import dropped


def test_dropped_weights_are_zero_or_scaled_up_and_so_are_their_gradients():
    torch.manual_seed(0)
    weight = torch.ones(300, 501, requires_grad=True)  # not a multiple of the 8 bytes of a random number
    found = dropped(weight, 0.25, training=True)
    found.sum().backward()
    assert found.detach().unique().tolist() == [0.0, pytest.approx(4 / 3)]
    share = (found == 0).float().mean().item()
    assert share == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / weight.numel()) ** 0.5)  # five standard deviations
    assert torch.equal(weight.grad, found.detach())
    assert dropped(weight, 0.25, training=False) is weight
    assert (dropped(weight, 1e-9, training=True) == 0).any()  # never less than a byte's share
