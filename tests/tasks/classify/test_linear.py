"""The linear part of a text classifier: ratios by hand, the optimum's conditions, what is chosen."""

import numpy as np
import pytest
import torch

from llmkit.data.ragged import Ragged, from_lists
from llmkit.tasks.classify import linear
from llmkit.tasks.classify.linear import Texts


def nothing(*progress):
    pass


def ones(features):
    return Ragged(np.ones(len(features.numbers), np.float32), features.starts)


def test_log_ratios_by_hand():
    features = from_lists([np.array([1, 2]), np.array([1]), np.array([2])])
    values = Ragged(np.array([1, 0.5, 1, 1], np.float32), features.starts)
    sums = linear._sums_of_labels(Texts(features, values, np.array([0, 0, 1]), 2, 2, 2))
    assert sums.tolist() == [[0, 2, 0.5], [0, 0, 1]]
    ratios = linear.log_ratios(sums[:, 1:], 1.0)
    expected = np.log([(3 / 4.5) / (1 / 3), (1.5 / 4.5) / (2 / 3)])  # one is added to each
    np.testing.assert_allclose(ratios, np.stack([expected, -expected]), rtol=1e-6)


GENERATOR = np.random.default_rng(0)
THREE = GENERATOR.integers(0, 3, 90)
FEATURES = from_lists([np.unique(np.append(GENERATOR.integers(1, 30, 6), 1 + label)) for label in THREE])


def texts_of(words):
    return Texts(FEATURES, ones(FEATURES), THREE, 30, words, 3)


def test_either_naive_bayes_speaks_of_its_own_kind_alone():
    words, characters = linear.naive_bayes(texts_of(12), (0.3, 1.0))
    assert not words[13:].any() and not characters[:13].any() and not words[0].any()
    assert words[1:13].abs().sum(dim=1).all() and characters[13:].abs().sum(dim=1).all()


def test_the_sums_by_feature_are_those_of_a_dense_product():
    texts = texts_of(12)
    dense = torch.zeros(90, 31)
    for number in range(90):
        dense[number, FEATURES.numbers[FEATURES.starts[number] : FEATURES.starts[number + 1]].astype(np.int64)] = 1
    table, gradients = torch.randn(31, 3), torch.randn(90, 3)
    torch.testing.assert_close(texts.logits(table), dense @ table)
    torch.testing.assert_close(texts.by_feature()(gradients), dense.T @ gradients)


@pytest.mark.parametrize("penalty", [1.0, 10.0])
@torch.no_grad()
def test_the_regression_is_at_the_minimum_of_its_loss(penalty):
    texts = texts_of(0)
    table = linear.regression(texts, penalty, iterations=200)
    with torch.enable_grad():
        bias = torch.zeros(3, requires_grad=True)  # it is free: the best one for this table
        optimizer = torch.optim.LBFGS([bias], max_iter=100, line_search_fn="strong_wolfe")
        table.requires_grad_()

        def loss():
            optimizer.zero_grad()
            rows = torch.zeros(90, 31).index_put_(
                (torch.arange(90).repeat_interleave(torch.from_numpy(FEATURES.counts)), texts.numbers.long()),
                torch.tensor(1.0),
            )
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
    parts = [torch.stack([torch.zeros(4000), part], dim=1) for part in (useful, noise, torch.zeros(4000))]
    strengths, bias, loss = linear._stack(parts, labels.numpy())
    assert strengths.tolist() == pytest.approx([2, 0, 0], abs=0.2) and strengths[2] == 0
    assert float(bias[1] - bias[0]) == pytest.approx(1, abs=0.2)
    assert loss == pytest.approx(
        float(torch.nn.functional.binary_cross_entropy(torch.sigmoid(2 * useful + 1), labels.float())), abs=0.01
    )


def test_what_is_chosen_tells_unseen_texts_apart_and_is_said():
    texts = texts_of(12)
    seen, unseen = texts.take(np.arange(60)), texts.take(np.arange(60, 90))
    choice = linear.choose(seen, unseen, nothing)
    assert choice.chosen["accuracy"] > 0.7 and choice.chosen["held_out"] == 30
    assert choice.chosen["loss"] <= min(choice.chosen["losses_alone"].values()) + 0.05
    fitted = linear.fit(texts, choice, nothing)
    assert fitted.table.shape == (31, 3) and fitted.bias.shape == (3,) and fitted.table.dtype == np.float32
    logits = texts.logits(torch.from_numpy(fitted.table)).numpy() + fitted.bias
    assert (logits.argmax(axis=1) == THREE).mean() > 0.8


def test_texts_without_features_leave_the_bias():
    empty = from_lists([np.zeros(0, np.int32)] * 10)
    texts = Texts(empty, ones(empty), np.array([0, 0, 0, 1] * 2 + [0, 0]), 0, 0, 2)
    fitted = linear.fit(texts, linear.choose(texts, texts, nothing), nothing)
    assert fitted.table.shape == (1, 2) and fitted.bias[0] > fitted.bias[1]
