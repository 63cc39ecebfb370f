"""The linear part over n-grams: logistic regression that starts from, and is pulled towards, naive Bayes.

A feature f weighs r[f, c] · (s + u[f, c]) for label c: r is its log-count ratio, how much likelier a text of the label
holds it than one of another (NB-SVM: Wang & Manning 2012, section 2), s a number for each kind of n-gram and u what the
penalty keeps small. Without u this is naive Bayes with the right temperature, without the penalty logistic regression.
The loss has one minimum, found by L-BFGS: nothing here is random.
"""

import numpy as np
import torch
from torch.nn import functional as F

from llmkit.tasks.classify.ragged import Ragged

SMOOTHING = 1.0  # added to each count of naive Bayes
ITERATIONS = 40


def log_count_ratios(features: Ragged, labels: np.ndarray, size: int, classes: int) -> np.ndarray:
    """r (size, C): row f is that of feature f + 1. `labels` (N,)."""
    of = np.repeat(labels, features.counts)
    counts = np.zeros((classes, size))
    for label in range(classes):
        counts[label] = np.bincount(features.numbers[of == label] - 1, minlength=size)
    counts += SMOOTHING
    others = counts.sum(axis=0) - counts
    mine = np.log(counts / counts.sum(axis=1, keepdims=True))
    rest = np.log(others / others.sum(axis=1, keepdims=True))
    return (mine - rest).T


def scales(features: Ragged) -> np.ndarray:
    """(N, 1) float32: what the sum over a text's features is multiplied by, so that long texts do not shout."""
    return (1 / np.sqrt(np.maximum(features.counts, 1)))[:, None].astype(np.float32)


def fit(
    features: Ragged, labels: np.ndarray, size: int, classes: int, penalty: float, weights: np.ndarray | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(table (size + 1, C), bias (C,)) from training texts; `weights` (C,) of the labels. `penalty`: see above."""
    ratios = torch.from_numpy(log_count_ratios(features, labels, size, classes)).float()
    numbers = torch.from_numpy(features.numbers.astype(np.int64)) - 1
    starts, scale = torch.from_numpy(features.starts), torch.from_numpy(scales(features))
    targets = torch.from_numpy(labels.astype(np.int64))
    of_label = None if weights is None else torch.from_numpy(weights).float()
    strength = torch.ones(1, requires_grad=True)
    change = torch.zeros(size, classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [strength, change, bias], max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        table = ratios * (strength + change)
        sums = F.embedding_bag(numbers, table, starts, mode="sum", include_last_offset=True)
        found = F.cross_entropy(sums * scale + bias, targets, of_label)
        found = found + penalty / len(labels) * change.square().sum() / 2
        found.backward()
        return found

    optimizer.step(loss)
    with torch.no_grad():
        table = torch.cat([torch.zeros(1, classes), ratios * (strength + change)])
    return table, bias.detach()
