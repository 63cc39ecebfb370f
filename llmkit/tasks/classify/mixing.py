"""How much the linear part and the LSTM count, by what both say of the validation split.

Each has a strength, the LSTM for each label its own, as far as that has examples: the strengths are held to a common
one by a penalty that a label's examples have to outweigh. An LSTM that adds nothing is left out: where the loss falls
by less than its standard error, or the macro F1 falls.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from llmkit.predicting import metrics

OWN_PENALTY = 20.0  # examples that it takes for a label's strength to leave the common one
PENALTY = 1.0  # of the strengths themselves
ITERATIONS = 60
SLACK = 0.005  # of macro F1, which is noise on a validation split


def fit(linear: np.ndarray, lstm: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(2, C) float32, strengths of the linear part and of the LSTM, from logits (N, C) and label numbers (N,).

    The LSTM's are 0 where it adds nothing.
    """
    return weigh(linear, lstm, labels)[0]


def weigh(linear: np.ndarray, lstm: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """(what `fit` returns; by how many of its standard errors the loss falls where the LSTM is mixed in)."""
    classes = linear.shape[1]
    alone = np.ones((2, classes), np.float32) * np.array([[1.0], [0.0]], np.float32)
    if not (np.isfinite(linear).all() and np.isfinite(lstm).all()):
        return alone, 0.0
    mixture = _strengths(torch.from_numpy(linear).float(), torch.from_numpy(lstm).float(), torch.from_numpy(labels))
    mixed = mixture[0] * linear + mixture[1] * lstm
    gain = _losses(linear, labels) - _losses(mixed, labels)
    errors = float(gain.mean() / max(gain.std() / np.sqrt(len(gain)), 1e-12))
    helps = errors > 1 and _macro_f1(mixed, labels) >= _macro_f1(linear, labels) - SLACK
    return (mixture if helps else alone), errors


def _losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) in nats, calibrated on these examples."""
    probabilities = metrics.softmax(logits, metrics.fit_temperature(logits, labels))
    found: np.ndarray = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], metrics.SMALLEST))
    return found


def _macro_f1(logits: np.ndarray, labels: np.ndarray) -> float:
    count = logits.shape[1]
    confusion = np.bincount(labels * count + logits.argmax(axis=1), minlength=count * count).reshape(count, count)
    return metrics.macro_f1(confusion)


@torch.enable_grad()
def _strengths(linear: Tensor, lstm: Tensor, labels: Tensor) -> np.ndarray:
    """(2, C) of least loss with its penalties."""
    labels, count = labels.long(), len(labels)
    common = torch.tensor([1.0, 0.1], requires_grad=True)
    own = torch.zeros(linear.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([common, own], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        mixed = common[0] * linear + (common[1] + own) * lstm
        pull = PENALTY * (common - torch.tensor([1.0, 0.0])).square().sum() + OWN_PENALTY * own.square().sum()
        found = F.cross_entropy(mixed, labels) + pull / (2 * count)
        found.backward()
        return found

    optimizer.step(loss)
    with torch.no_grad():
        return torch.stack([common[0].expand(len(own)), common[1] + own]).clamp(min=0).numpy()
