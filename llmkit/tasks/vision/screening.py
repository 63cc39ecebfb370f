"""How well labels are told apart where one is to be missed seldom: an interval of AUROC, sensitivity at a specificity.

In: probabilities (N, C) and label numbers (N,). Of two labels the second one is what is looked for. Numpy only.
"""

import numpy as np

from llmkit.plain import Json
from llmkit.predicting import metrics

DRAWS, LEVEL, SEED = 1000, 0.95, 0


def figures(probabilities: np.ndarray, labels: np.ndarray, specificity: float) -> Json:
    """`roc_auc_interval` and, of two labels that both occur, `sensitivity_at` and the specificity it is at."""
    interval = auc_interval(probabilities, labels)
    found: Json = {"roc_auc_interval": interval} if interval else {}
    if probabilities.shape[1] == 2 and len(np.unique(labels)) == 2:
        scores, positive = probabilities[:, 1], labels == 1
        said = probabilities.argmax(axis=1) == 1
        found |= {
            "sensitivity": float(said[positive].mean()),
            "specificity": float(1 - said[~positive].mean()),
            "sensitivity_at": {
                "specificity": specificity,
                "sensitivity": sensitivity_at(scores, positive, specificity),
            },
        }
    return found


def sensitivity_at(scores: np.ndarray, positive: np.ndarray, specificity: float) -> float:
    """The largest share of positive examples above a threshold below which this share of the others lies.

    `positive` (N,) bool has both kinds.
    """
    others = np.sort(scores[~positive])
    below = int(np.ceil(specificity * len(others) - 1e-9))  # of the others at or below the threshold, at least
    threshold = others[below - 1] if below else -np.inf
    return float((scores[positive] > threshold).mean())


def auc_interval(probabilities: np.ndarray, labels: np.ndarray) -> list[float] | None:
    """The 95 % interval [low, high] of `metrics.mean_roc_auc`: examples drawn anew, those of each label among
    themselves (bootstrap: Efron 1979, percentiles); None where that is no number."""
    of_label = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    generator = np.random.default_rng(SEED)
    found = []
    for _ in range(_draws(probabilities)):
        which = np.concatenate([members[generator.integers(len(members), size=len(members))] for members in of_label])
        area = metrics.mean_roc_auc(probabilities[which], labels[which])
        if area is None:
            return None
        found.append(area)
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]


def _draws(probabilities: np.ndarray) -> int:
    """So many that it takes seconds at most, with many labels and examples too."""
    return int(np.clip(2e7 // max(probabilities.size, 1), 100, DRAWS))
