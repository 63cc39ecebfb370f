"""The loss of a student by hand and against torch, and targets mixed with a teacher's answers."""

import math

import pytest
import torch
from torch.nn import functional as F

from llmkit.training import distillation


def test_the_loss_by_hand():
    # Student: probabilities 1/2, 1/2; teacher: 3/4, 1/4; target 0.
    found = distillation.loss(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([[0.75, 0.25]]), 1.0, 0.25)
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert found.item() == pytest.approx(0.75 * math.log(2) + 0.25 * divergence)


@pytest.mark.parametrize(("temperature", "mix"), [(1.0, 0.5), (3.0, 0.9), (0.5, 1.0), (2.0, 0.0)])
def test_the_loss_against_torch(temperature, mix):
    torch.manual_seed(0)
    logits, teachers, targets = torch.randn(20, 7), [torch.randn(20, 7) for _ in range(2)], torch.randint(0, 7, (20,))
    soft = distillation.probabilities(teachers, temperature)
    mean = sum(torch.softmax(teacher / temperature, 1) for teacher in teachers) / 2
    torch.testing.assert_close(soft, mean)
    student = torch.log_softmax(logits / temperature, 1)
    expected = (1 - mix) * F.cross_entropy(logits, targets) + mix * temperature**2 * F.kl_div(
        student, mean, reduction="batchmean"
    )
    torch.testing.assert_close(distillation.loss(logits, targets, soft, temperature, mix), expected)


def test_mixed_targets_have_the_gradient_of_the_loss_at_temperature_1():
    torch.manual_seed(0)
    logits, tokens, soft = torch.randn(7, 5), torch.randint(5, (7,)), torch.rand(7, 5).softmax(dim=1)
    mixed = distillation.targets(tokens, soft, 0.3)
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(7))
    gradients = []
    for value in (
        lambda x: distillation.loss(x, tokens, soft, 1.0, 0.3),
        lambda x: F.cross_entropy(x, mixed),
    ):
        x = logits.clone().requires_grad_()
        value(x).backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)
    entropy = -(soft * soft.log()).sum(dim=1).mean()
    expected = distillation.loss(logits, tokens, soft, 1.0, 0.3)
    torch.testing.assert_close(F.cross_entropy(logits, mixed) - 0.3 * entropy, expected)
