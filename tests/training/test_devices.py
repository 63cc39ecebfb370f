"""Denormal numbers are flushed while a model learns, and only then; a GPU is exact then, where that is wanted."""

import os

import numpy as np
import torch

from llmkit.training import devices


def test_denormals_are_flushed_only_within_the_block():
    tiny = torch.tensor(1e-40)
    with devices.flushed_denormals():
        assert (tiny * 1.0).item() == 0
    assert (tiny * 1.0).item() > 0


def test_exactness_is_asked_of_a_gpu_alone_and_only_within_the_block():
    cuda, cudnn = torch.device("cuda"), torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    with devices.exact(cuda):
        assert torch.are_deterministic_algorithms_enabled() and cudnn.deterministic and not cudnn.benchmark
    for device, wanted in ((torch.device("cpu"), True), (cuda, False)):
        with devices.exact(device, wanted):
            assert (torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark) == before
    assert (torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark) == before
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_an_array_is_given_as_it_is():
    array = np.arange(6).reshape(2, 3)
    assert devices.given(array[:, 1:], torch.device("cpu")).tolist() == [[1, 2], [4, 5]]
