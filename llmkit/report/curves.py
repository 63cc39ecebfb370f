"""What the charts of a classifier show: ROC, precision and recall, calibration. Numpy only."""

import numpy as np

MOST_POINTS = 200


def roc(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(false positive rate, true positive rate) from (0, 0) to (1, 1), of scores (N,) and whether each is positive."""
    true, false = _counts(scores, positive)
    return _thinned(false / max(false[-1], 1)), _thinned(true / max(true[-1], 1))


def precision_recall(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision) of every threshold, the strictest first."""
    true, false = (part[1:] for part in _counts(scores, positive))
    return _thinned(true / max(true[-1], 1)), _thinned(true / (true + false))


def reliability(sure: np.ndarray, right: np.ndarray, bins: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean probability, share that is right, examples) of each bin of equal width that has any."""
    number = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(number, minlength=bins)
    there = counts > 0
    means = np.bincount(number, sure, bins)[there] / counts[there]
    return means, np.bincount(number, right, bins)[there] / counts[there], counts[there]


def _counts(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(positive ones, negative ones) at or above each different score, from none of them on."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # equal scores are taken together
    true = np.cumsum(positive[order])[ends]
    return np.append(0, true), np.append(0, ends + 1 - true)


def _thinned(values: np.ndarray) -> np.ndarray:
    return values[np.unique(np.linspace(0, len(values) - 1, MOST_POINTS).astype(np.int64))]
