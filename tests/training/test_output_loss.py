"""The output layer with its loss against torch's own linear layer and cross-entropy."""

import types

import pytest
import torch
from torch.nn import functional as F

from llmkit.training import output_loss
from llmkit.training.output_loss import OutputLoss


@pytest.mark.parametrize("chunk", [1, 7 * 11, 1 << 20])  # a row, a part that does not go in evenly, all at a time
@pytest.mark.parametrize(("probabilities", "smoothing"), [(False, 0.0), (True, 0.0), (False, 0.1)])
def test_loss_and_gradients_are_those_of_linear_and_cross_entropy(chunk, probabilities, smoothing, monkeypatch):
    monkeypatch.setattr(output_loss, "CHUNK", chunk)
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(*shape, dtype=torch.float64) for shape in ((19, 5), (11, 5), (11,)))
    targets = torch.rand(19, 11).softmax(dim=1) if probabilities else torch.randint(11, (19,))
    found, expected = ([t.float().requires_grad_() for t in (x, weight, bias)] for _ in range(2))
    loss = OutputLoss.apply(*found, targets, smoothing)
    wanted = F.cross_entropy(F.linear(*expected), targets, label_smoothing=smoothing)
    (3 * loss).backward()
    (3 * wanted).backward()
    torch.testing.assert_close(loss, wanted)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-6, rtol=1e-5)


def test_bfloat16_products_leave_float32_gradients_of_the_weights_close_to_exact_ones():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(64, 16), torch.randn(30, 16).requires_grad_(), torch.zeros(30, requires_grad=True)
    targets = torch.randint(30, (64,))
    exact = torch.autograd.grad(F.cross_entropy(F.linear(x, weight, bias), targets), weight)[0]
    OutputLoss.apply(x.bfloat16(), weight, bias, targets).backward()
    assert weight.grad.dtype == torch.float32
    assert (weight.grad - exact).norm() < 0.02 * exact.norm()  # bfloat16 keeps 8 bits: 0.4 % for each number


def test_a_gpu_works_on_as_much_as_a_share_of_its_memory_holds(monkeypatch):
    assert output_loss.chunk(torch.device("cpu")) == output_loss.CHUNK
    memory = types.SimpleNamespace(total_memory=16 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    assert output_loss.chunk(torch.device("cuda")) * 8 == 1 << 30  # bytes of the logits and of their softmax
    memory.total_memory = 1 << 40
    assert output_loss.chunk(torch.device("cuda")) == output_loss.LARGE_CHUNK
