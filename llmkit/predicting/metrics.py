"""Metrics of predicted probabilities against the true labels, and the temperature that calibrates them. Numpy only."""

import math

import numpy as np

from llmkit.plain import Json

BINS = 15  # of the calibration error
SMALLEST = 1e-15  # probability that log_loss counts at least, as scikit-learn's log_loss does
# Of the logarithm of the temperature, before the validation split has its say: few examples move it little.
TEMPERATURE_DEVIATION = 0.5


def of_probabilities(probabilities: np.ndarray, labels: np.ndarray, names: list[str]) -> Json:
    """Of probabilities (N, C) and label numbers (N,): what `evaluate --json` prints, `confusion` as true → predicted.

    majority_accuracy is that of who always says the label that is most frequent here. macro_f1 is the mean over the
    labels that occur or are predicted; roc_auc is that of `mean_roc_auc`; calibration_error is the expected calibration
    error (Guo et al., arXiv 1706.04599, section 2) in 15 bins.
    """
    predicted = probabilities.argmax(axis=1)
    count = len(names)
    confusion = np.bincount(labels * count + predicted, minlength=count * count).reshape(count, count)
    return {
        "accuracy": float((predicted == labels).mean()),
        "majority_accuracy": float(confusion.sum(axis=1).max() / max(len(labels), 1)),
        "macro_f1": macro_f1(confusion),
        "roc_auc": mean_roc_auc(probabilities, labels),
        "log_loss": log_loss(probabilities, labels),
        "calibration_error": calibration_error(probabilities, labels),
        "by_label": by_label(confusion, names),
        "confusion": {
            name: dict(zip(names, row.tolist(), strict=True)) for name, row in zip(names, confusion, strict=True)
        },
        "examples": len(labels),
    }


def by_label(confusion: np.ndarray, names: list[str]) -> Json:
    """{label: {precision, recall, f1, support}} of a `confusion` (C, C), true labels in rows.

    precision is None for a label that is never predicted, recall for one that does not occur, f1 where neither is.
    """

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    rows = zip(names, np.diag(confusion).tolist(), confusion.sum(0).tolist(), confusion.sum(1).tolist(), strict=True)
    return {
        name: {
            "precision": share(right, predicted),
            "recall": share(right, occur),
            "f1": share(2 * right, predicted + occur),
            "support": occur,
        }
        for name, right, predicted, occur in rows
    }


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 of the labels; `confusion` (C, C) counts true labels in rows, predicted ones in columns."""
    right, occur = np.diag(confusion), confusion.sum(axis=1) + confusion.sum(axis=0)
    return float((2 * right[occur > 0] / occur[occur > 0]).mean())


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Chance that a positive example (N,) bool has a higher score than a negative one, ties counting half."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, number, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[number]  # from 1, ties share their mean
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def mean_roc_auc(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    """`roc_auc` of the second of two labels; of more (N, C), the mean of each label against the rest.

    A label that does not occur, or that all examples have, is left out; None where that leaves nothing.
    """
    count = probabilities.shape[1]
    areas = [roc_auc(probabilities[:, label], labels == label) for label in ([1] if count == 2 else range(count))]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if known else None


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log of the true label's probability, in nats."""
    chosen = np.take_along_axis(probabilities.astype(np.float64), labels[:, None].astype(np.int64), axis=1)
    return float(-np.log(np.clip(chosen, SMALLEST, 1.0)).mean())


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Mean gap between the probability of the predicted label and how often it is right, in bins of equal width."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    number = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(number, right, bins) - np.bincount(number, sure, bins)
    return float(np.abs(gaps).sum() / len(labels))


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities (N, C) float64 of logits (N, C)."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of least log loss on (N, C) logits (Guo et al., arXiv 1706.04599, section 4.2).

    Its logarithm has a normal prior around 0, so that a validation split that happens to be all right does not make
    the model sure of everything. Golden-section search: the loss has one minimum.
    """

    def loss(log_temperature: float) -> float:
        prior = 0.5 * (log_temperature / TEMPERATURE_DEVIATION) ** 2
        return len(labels) * log_loss(softmax(logits, math.exp(log_temperature)), labels) + prior

    ratio = (math.sqrt(5) - 1) / 2
    low, high = math.log(0.05), math.log(20.0)
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)
