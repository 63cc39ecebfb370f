"""The linear part: naive Bayes over n-grams of words, logistic regression over those of characters, stacked.

The two err differently: naive Bayes, which has nothing to fit, learns most from rare n-grams of words (Wang & Manning
2012, section 2.1), logistic regression from the many overlapping ones of characters. How much either counts is fitted
to what they say of training texts that they have not seen (stacking: Wolpert 1992), so the sum is calibrated about
right. It is one linear model again: a table with a row for each feature, and a bias. Nothing here is random.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from llmkit.data.ragged import Ragged

SMOOTHING = 0.3  # added to each sum of naive Bayes, to which a text gives values whose squares add up to 1
HELD_OUT = 5  # every fifth training text is held out to fit the two strengths
STACKING_PENALTY = 1.0  # keeps the two strengths finite where a few texts are told apart without an error
ITERATIONS = 40


def log_count_ratios(features: Ragged, values: np.ndarray, labels: np.ndarray, size: int, classes: int) -> np.ndarray:
    """(size, C): how much likelier a text of a label holds a feature than one of another, in logarithms.

    `values` are those of features.numbers, `labels` (N,); row f is that of feature f + 1.
    """
    of = np.repeat(labels, features.counts)
    sums = np.full((classes, size), SMOOTHING)
    for label in range(classes):
        sums[label] += np.bincount(features.numbers[of == label] - 1, values[of == label], minlength=size)[:size]
    others = sums.sum(axis=0) - sums
    mine = np.log(sums / sums.sum(axis=1, keepdims=True))
    rest = np.log(others / others.sum(axis=1, keepdims=True))
    return (mine - rest).T


def fit(
    features: Ragged,
    values: Ragged,
    labels: np.ndarray,
    size: int,
    word_features: int,
    classes: int,
    penalty: float,
    weights: np.ndarray | None = None,
) -> tuple[Tensor, Tensor]:
    """(table (size + 1, C), bias (C,)) from training texts; row 0 is the filling's.

    `values` go with the features, of which the first `word_features` are n-grams of words. `penalty` is that of the
    squared weights of logistic regression, `weights` (C,) are those of the labels.
    """
    examples = _Examples(features, values, torch.from_numpy(labels.astype(np.int64)), size)
    of_label = None if weights is None else torch.from_numpy(weights).float()
    held_out = np.arange(len(labels)) % HELD_OUT == 0
    seen, unseen = examples.take(np.flatnonzero(~held_out)), examples.take(np.flatnonzero(held_out))
    tables = _tables(seen, word_features, classes, penalty, of_label)
    logits = torch.stack([unseen.logits(table) for table in tables], dim=1)
    strengths, bias = _stack(logits, unseen.labels, of_label)
    bayes, regression = _tables(examples, word_features, classes, penalty, of_label, start=tables[1])
    return strengths[0] * bayes + strengths[1] * regression, bias


class _Examples:
    """Texts as torch takes them: features with their values, and labels (N,)."""

    def __init__(self, features: Ragged, values: Ragged, labels: Tensor, size: int):
        self.features, self.values, self.labels, self.size = features, values, labels, size
        self.numbers = torch.from_numpy(features.numbers.astype(np.int64))
        self.starts = torch.from_numpy(features.starts)
        self.weights = torch.from_numpy(values.numbers.astype(np.float32))

    def take(self, which: np.ndarray) -> "_Examples":
        labels = self.labels[torch.from_numpy(which)]
        return _Examples(self.features.take(which), self.values.take(which), labels, self.size)

    def logits(self, table: Tensor) -> Tensor:
        """(N, C) by a table (size + 1, C)."""
        return F.embedding_bag(
            self.numbers, table, self.starts, mode="sum", per_sample_weights=self.weights, include_last_offset=True
        )

    def by_feature(self) -> Callable[[Tensor], Tensor]:
        """What takes gradients of the logits (N, C) to those of the table (size + 1, C).

        The texts of each feature, as lists of their own: several times faster than what autograd makes of `logits`,
        which sorts them anew each time.
        """
        order = np.argsort(self.features.numbers, kind="stable")
        texts = torch.from_numpy(np.repeat(np.arange(len(self.features)), self.features.counts)[order])
        counts = np.bincount(self.features.numbers, minlength=self.size + 1)
        starts = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
        weights = self.weights[torch.from_numpy(order)]
        return lambda gradients: F.embedding_bag(
            texts, gradients, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
        )


def _tables(
    examples: _Examples,
    word_features: int,
    classes: int,
    penalty: float,
    weights: Tensor | None,
    start: Tensor | None = None,
) -> list[Tensor]:
    """The tables (size + 1, C) of naive Bayes and of logistic regression; either is 0 for the other's features."""
    bayes = torch.zeros(examples.size + 1, classes)
    features, values = examples.features, examples.values.numbers
    ratios = log_count_ratios(features, values, examples.labels.numpy(), examples.size, classes)
    bayes[1 : word_features + 1] = torch.from_numpy(ratios[:word_features]).float()
    return [bayes, _regression(examples, word_features, classes, penalty, weights, start)]


@torch.no_grad()
def _regression(
    examples: _Examples,
    word_features: int,
    classes: int,
    penalty: float,
    weights: Tensor | None,
    start: Tensor | None = None,
) -> Tensor:
    """The table (size + 1, C) of the features behind those of words, from `start` on; its bias is not of interest."""
    table = torch.zeros(examples.size + 1, classes) if start is None else start.clone()
    if examples.size == word_features:
        return table
    bias, to_table = torch.zeros(classes), examples.by_feature()
    importance = torch.ones(len(examples.labels)) if weights is None else weights[examples.labels]
    importance = importance / importance.sum()
    targets = F.one_hot(examples.labels, classes).float()

    def loss() -> Tensor:
        logs = F.log_softmax(examples.logits(table) + bias, dim=1)
        gradients = (logs.exp() - targets) * importance[:, None]
        table.grad = to_table(gradients) + penalty / len(targets) * table
        table.grad[: word_features + 1] = 0
        bias.grad = gradients.sum(dim=0)
        return -(logs * targets).sum(dim=1) @ importance + penalty / len(targets) * table.square().sum() / 2

    _optimizer([table, bias]).step(loss)
    table.grad = None
    return table


@torch.enable_grad()
def _stack(logits: Tensor, labels: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """(strength of either part (2,), bias (C,)) of least loss on `logits` (N, 2, C) of texts unseen by them."""
    strengths, bias = torch.ones(2, requires_grad=True), torch.zeros(logits.shape[2], requires_grad=True)
    optimizer = _optimizer([strengths, bias])

    def loss() -> Tensor:
        optimizer.zero_grad()
        mixed = (logits * strengths[:, None]).sum(dim=1) + bias
        pull = STACKING_PENALTY / len(labels) * (strengths - 1).square().sum() / 2
        found = F.cross_entropy(mixed, labels, weights) + pull
        found.backward()
        return found

    optimizer.step(loss)
    return strengths.detach().clamp(min=0), bias.detach()


def _optimizer(weights: list[Tensor]) -> torch.optim.LBFGS:
    """What moves the weights to the minimum of a convex loss."""
    return torch.optim.LBFGS(weights, max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe")
