"""The linear part of a text classifier: ratios by hand, and the optimum's conditions."""

import numpy as np
import pytest
import torch

from llmkit.data.ragged import Ragged, from_lists
from llmkit.tasks.classify import linear


def ones(features):
    return Ragged(np.ones(len(features.numbers), np.float32), features.starts)


def test_log_count_ratios_by_hand(monkeypatch):
    monkeypatch.setattr(linear, "SMOOTHING", 1.0)
    features = from_lists([np.array([1, 2]), np.array([1]), np.array([2])])
    values = np.array([1, 0.5, 1, 1], np.float32)
    ratios = linear.log_count_ratios(features, values, np.array([0, 0, 1]), 2, 2)
    # Label 0: sums 2 and 0.5; label 1: 0 and 1; one is added to each.
    expected = np.log([(3 / 4.5) / (1 / 3), (1.5 / 4.5) / (2 / 3)])
    np.testing.assert_allclose(ratios, np.stack([expected, -expected], axis=1), rtol=1e-6)


GENERATOR = np.random.default_rng(0)
FEATURES = from_lists([np.unique(GENERATOR.integers(1, 30, 6)) for _ in range(90)])
THREE = GENERATOR.integers(0, 3, 90)


def test_words_alone_are_naive_bayes_with_one_strength():
    table, bias = linear.fit(FEATURES, ones(FEATURES), THREE, 30, 30, 3, penalty=1.0)
    ratios = linear.log_count_ratios(FEATURES, np.ones(len(FEATURES.numbers)), THREE, 30, 3)
    assert table[0].tolist() == [0, 0, 0] and bias.shape == (3,)
    assert np.ptp(table[1:].numpy() / ratios) < 1e-4


@pytest.mark.parametrize("penalty", [1.0, 10.0])
def test_the_regression_is_at_the_minimum_of_its_loss(penalty):
    examples = linear._Examples(FEATURES, ones(FEATURES), torch.from_numpy(THREE), 30)
    table = linear._regression(examples, 0, 3, penalty, None)[1:].requires_grad_()
    rows = torch.zeros(90, 30)
    for number in range(90):
        rows[number, FEATURES.numbers[FEATURES.starts[number] : FEATURES.starts[number + 1]] - 1] = 1
    # The bias is free: the best one for this table, by plain steps.
    bias = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        found = torch.nn.functional.cross_entropy(rows @ table + bias, torch.from_numpy(THREE))
        found.backward()
        return found

    optimizer.step(loss)
    table.grad = None
    loss()
    torch.testing.assert_close(-table.grad * 90 / penalty, table.detach(), atol=5e-3, rtol=0)


def test_stacking_finds_the_strength_that_calibrates():
    generator = torch.Generator().manual_seed(0)
    useful, noise = torch.randn(4000, generator=generator), torch.randn(4000, generator=generator)
    labels = (torch.rand(4000, generator=generator) < torch.sigmoid(2 * useful + 1)).long()
    logits = torch.stack([torch.stack([torch.zeros(4000), part], dim=1) for part in (useful, noise)], dim=1)
    strengths, bias = linear._stack(logits, labels, None)
    assert strengths.tolist() == pytest.approx([2, 0], abs=0.2)
    assert float(bias[1] - bias[0]) == pytest.approx(1, abs=0.2)
