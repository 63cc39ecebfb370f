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

from llmkit.tasks.classify.ragged import Ragged

SMOOTHING = 0.2  # added to each sum of naive Bayes; a text's n-grams of words count 1 / sqrt(how many they are)
STACKING_PARTS = 5
STACKING_PENALTY = 1.0  # keeps the two strengths finite where a few texts are told apart without an error
ITERATIONS = 100


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
    examples = _Examples(features, values, torch.from_numpy(labels.astype(np.int64)))
    of_label = None if weights is None else torch.from_numpy(weights).float()
    part = np.arange(len(labels)) % STACKING_PARTS
    held_out = torch.zeros(len(labels), 2, classes)
    for number in range(STACKING_PARTS):
        seen, unseen = np.flatnonzero(part != number), np.flatnonzero(part == number)
        if len(unseen) and len(seen):
            tables = _tables(examples.take(seen), size, word_features, classes, penalty, of_label)
            held_out[unseen] = torch.stack([examples.take(unseen).logits(table) for table in tables], dim=1)
    strengths, bias = _stack(held_out, examples.labels, of_label)
    tables = _tables(examples, size, word_features, classes, penalty, of_label)
    return sum((strength * table for strength, table in zip(strengths, tables, strict=True)), torch.zeros(())), bias


class _Examples:
    """Texts as torch takes them: features with their values, and labels (N,)."""

    def __init__(self, features: Ragged, values: Ragged, labels: Tensor):
        self.features, self.values, self.labels = features, values, labels
        self.numbers = torch.from_numpy(features.numbers.astype(np.int64))
        self.starts = torch.from_numpy(features.starts)
        self.weights = torch.from_numpy(values.numbers.astype(np.float32))

    def take(self, which: np.ndarray) -> "_Examples":
        return _Examples(self.features.take(which), self.values.take(which), self.labels[torch.from_numpy(which)])

    def logits(self, table: Tensor) -> Tensor:
        """(N, C) by a table (size + 1, C)."""
        return F.embedding_bag(
            self.numbers, table, self.starts, mode="sum", per_sample_weights=self.weights, include_last_offset=True
        )


def _tables(
    examples: _Examples, size: int, word_features: int, classes: int, penalty: float, weights: Tensor | None
) -> list[Tensor]:
    """The tables (size + 1, C) of naive Bayes and of logistic regression; either is 0 for the other's features."""
    ratios = log_count_ratios(
        examples.features, examples.values.numbers, examples.labels.numpy(), size, classes
    )  # of all, but each feature by itself
    bayes, regression = torch.zeros(size + 1, classes), torch.zeros(size + 1, classes)
    bayes[1 : word_features + 1] = torch.from_numpy(ratios[:word_features]).float()
    if size > word_features:
        regression[word_features + 1 :] = _regression(examples, size, word_features, classes, penalty, weights)
    return [bayes, regression]


def _regression(
    examples: _Examples, size: int, word_features: int, classes: int, penalty: float, weights: Tensor | None
) -> Tensor:
    """Weights (size - word_features, C) of the features behind those of words."""
    table = torch.zeros(size - word_features, classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    words = torch.zeros(word_features + 1, classes)

    def loss() -> Tensor:
        logits = examples.logits(torch.cat([words, table])) + bias
        size_of_table = penalty / len(examples.labels) * table.square().sum() / 2
        return F.cross_entropy(logits, examples.labels, weights) + size_of_table

    _minimize(loss, [table, bias])
    return table.detach()


def _stack(logits: Tensor, labels: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """(strength of either part (2,), bias (C,)) of least loss on `logits` (N, 2, C) of texts unseen by them."""
    strengths, bias = torch.ones(2, requires_grad=True), torch.zeros(logits.shape[2], requires_grad=True)

    def loss() -> Tensor:
        mixed = (logits * strengths[:, None]).sum(dim=1) + bias
        pull = STACKING_PENALTY / len(labels) * (strengths - 1).square().sum() / 2
        return F.cross_entropy(mixed, labels, weights) + pull

    _minimize(loss, [strengths, bias])
    return strengths.detach().clamp(min=0), bias.detach()


@torch.enable_grad()
def _minimize(loss: Callable[[], Tensor], weights: list[Tensor]) -> None:
    """Move the weights to the one minimum of a convex loss."""
    optimizer = torch.optim.LBFGS(weights, max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        found = loss()
        found.backward()
        return found

    optimizer.step(closure)  # type: ignore[arg-type]
