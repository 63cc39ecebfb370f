"""Noisy gradients against a loop over examples; the accountant against the exact bound of the Gaussian mechanism."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from llmkit.errors import ConfigError
from llmkit.training import private
from llmkit.training.private import Gradients, Noise


class Network(nn.Module):
    """Numbers (B, 3) and categories (B, 2) to outputs (B, 4, 2): members and an embedding, as tables have."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 2)
        self.matrices = nn.Parameter(torch.randn(4, 7, 2))
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, numbers, categories):
        together = torch.cat([numbers, self.embedding(categories).flatten(1)], dim=1)
        return torch.einsum("bi,kio->bko", together, self.matrices) + self.bias


@pytest.fixture
def examples():
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(9, 3, generator=generator) * torch.arange(1, 10)[:, None]  # of longer and longer gradients
    return numbers, torch.randint(0, 5, (9, 2), generator=generator), torch.randint(0, 2, (9,), generator=generator)


def loss_of(network, numbers, categories, labels):
    outputs = network(numbers, categories)
    return F.cross_entropy(outputs.flatten(0, 1), labels.repeat_interleave(4), reduction="sum") / 4


def gradients_of(network, examples, noise, monkeypatch):
    numbers, categories, labels = examples
    outputs = network(numbers, categories).detach().requires_grad_(True)
    loss = F.cross_entropy(outputs.flatten(0, 1), labels.repeat_interleave(4), reduction="sum") / 4
    [pulls] = torch.autograd.grad(loss, [outputs])
    monkeypatch.setattr(private, "AT_ONCE", 4)
    Gradients(network, noise).into([numbers, categories], pulls, 9)
    return {name: weight.grad.clone() for name, weight in network.named_parameters()}


def test_gradients_are_clipped_by_example(examples, monkeypatch):
    torch.manual_seed(1)
    network, clip = Network(), 2.0
    found = gradients_of(network, examples, Noise(0.0, clip, 0.5, 1), monkeypatch)
    expected, cut = {name: torch.zeros_like(weight) for name, weight in network.named_parameters()}, 0
    for number in range(9):
        network.zero_grad()
        loss_of(network, *(part[number : number + 1] for part in examples)).backward()
        norm = math.sqrt(sum(float((weight.grad**2).sum()) for weight in network.parameters()))
        cut += norm > clip
        for name, weight in network.named_parameters():
            expected[name] += weight.grad * min(1.0, clip / norm) / 9
    assert 0 < cut < 9
    for name, wanted in expected.items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-4, atol=1e-6)


def test_one_example_moves_the_sum_by_the_clip_at_most(examples, monkeypatch):
    """What the noise is measured by; an example whose gradient is no number moves nothing."""
    network = Network()
    without = gradients_of(network, [part[:8] for part in examples], Noise(0.0, 0.5, 0.5, 1), monkeypatch)
    with_it = gradients_of(network, examples, Noise(0.0, 0.5, 0.5, 1), monkeypatch)
    moved = math.sqrt(sum(float(((9 * (with_it[name] - without[name])) ** 2).sum()) for name in without))
    assert moved <= 0.5 * (1 + 1e-4)
    numbers, categories, labels = examples
    numbers = torch.cat([numbers[:8], torch.full((1, 3), float("inf"))])
    broken = gradients_of(network, (numbers, categories, labels), Noise(0.0, 0.5, 0.5, 1), monkeypatch)
    for name, gradient in broken.items():
        torch.testing.assert_close(gradient, without[name])


def test_the_noise_has_its_deviation_and_is_another_one_each_time(examples, monkeypatch):
    network, noise = Network(), Noise(3.0, 100.0, 0.5, 1)
    torch.manual_seed(0)  # which it must not follow
    plain = gradients_of(network, examples, Noise(0.0, 100.0, 0.5, 1), monkeypatch)
    drawn = []
    for _ in range(60):
        torch.manual_seed(0)
        found = gradients_of(network, examples, noise, monkeypatch)
        drawn.append(torch.cat([(found[name] - plain[name]).flatten() * 9 for name in plain]))
    assert not torch.equal(drawn[0], drawn[1])
    assert float(torch.stack(drawn).std()) == pytest.approx(300.0, rel=0.1)  # of 4,080 numbers


def test_batches_are_drawn_anew():
    gradients = Gradients(Network(), Noise(1.0, 1.0, 0.1, 1))
    sizes = [len(gradients.drawn(np.arange(1000))) for _ in range(50)]
    assert len(set(sizes)) > 5 and 90 < np.mean(sizes) < 110
    assert set(gradients.drawn(np.array([7, 9] * 200))) == {7, 9}


def exact_delta(epsilon, deviation):
    """Of one release with noise of a deviation, everybody in it (Balle and Wang, arXiv 1805.06530, theorem 8)."""
    below = NormalDist().cdf
    return below(0.5 / deviation - epsilon * deviation) - math.exp(epsilon) * below(
        -0.5 / deviation - epsilon * deviation
    )


@pytest.mark.parametrize(("deviation", "steps"), [(1.0, 1), (4.0, 1), (10.0, 25)])
def test_the_bound_is_above_the_exact_one_and_not_far(deviation, steps):
    """Steps with everybody in them compose to one with a root of their number less noise."""
    epsilon = private.epsilon_of(Noise(deviation, 1.0, 1.0, steps), 1e-5)
    true = exact_delta(epsilon, deviation / math.sqrt(steps))
    assert true <= 1e-5
    assert exact_delta(0.8 * epsilon, deviation / math.sqrt(steps)) > 1e-5


def test_the_noise_for_a_bound():
    noise = private.noise_for(2.0, 1e-5, 1.0, 0.01, 1000)
    assert 1.9 < private.epsilon_of(noise, 1e-5) <= 2.0
    assert private.noise_for(2.0, 1e-5, 1.0, 0.01, 4000).multiplier > noise.multiplier
    assert private.noise_for(1.0, 1e-5, 1.0, 0.01, 1000).multiplier > noise.multiplier
    with pytest.raises(ConfigError, match="no noise makes 1,000,000 steps private"):
        private.noise_for(1e-4, 1e-9, 1.0, 1.0, 1_000_000)
