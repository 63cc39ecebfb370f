"""Dropout by random bytes."""

import pytest
import torch

from llmkit.training.fast_dropout import Masks, dropped, masked, masked_


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


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_masks_of_a_pool_drop_their_share(kind):
    masks = Masks(0.25, 40_000, kind, torch.Generator().manual_seed(3))
    assert masks.scale == 4 / 3
    first, second = (masked(torch.ones(200, 200, dtype=kind), masks.next(200, 200)) for _ in "ab")
    for found in (first, second):
        assert set(found.unique().tolist()) == {0.0, 1.0}
        assert found.float().mean().item() == pytest.approx(0.75, abs=0.02)
    assert not torch.equal(first, second)
    kept = torch.full((10, 10), -2.5, dtype=kind)
    mask = masks.next(10, 10)
    assert torch.equal(masked(kept, mask), masked_(kept.clone(), mask))
