"""Denormal numbers are flushed while a model learns, and only then."""

import torch

from llmkit.training import devices


def test_denormals_are_flushed_only_within_the_block():
    tiny = torch.tensor(1e-40)
    with devices.flushed_denormals():
        assert (tiny * 1.0).item() == 0
    assert (tiny * 1.0).item() > 0
