"""Transposed convolutions as windows against torch, and which ones stay as they are."""

import numpy as np
import torch
from torch.nn import functional as F

from llmkit.quantization import convolutions, quantize
from llmkit.tasks.image import graph
from llmkit.tasks.image.network import Generator


def test_windows_compute_a_transposed_convolution():
    generator = torch.Generator().manual_seed(0)
    weight, h = torch.randn(3, 2, 4, 4, generator=generator), torch.randn(1, 3, 5, 5, generator=generator)
    by_windows = F.conv2d(h, torch.from_numpy(convolutions.windows(weight.numpy())), padding=1)  # (1, 8, 6, 6)
    wide = by_windows.reshape(1, 2, 2, 2, 6, 6).permute(0, 3, 4, 1, 5, 2).reshape(1, 2, 12, 12)
    torch.testing.assert_close(wide[..., 1:-1, 1:-1], F.conv_transpose2d(h, weight, stride=2, padding=1))


def test_other_convolutions_and_graphs_without_inputs_to_calibrate_on_stay_as_they_are():
    exported, weights = graph.export(Generator(28, 1, 0, 4, 4))
    _, fewer = quantize.quantize(exported, weights)
    assert fewer["first"].dtype == np.float32 and fewer["project"].dtype == np.int8
    node = next(node for node in exported.graph.node if node.op_type == "ConvTranspose")
    assert convolutions.doubles(node, weights)
    next(part for part in node.attribute if part.name == "strides").ints[0] = 1
    assert not convolutions.doubles(node, weights)
