"""What a network should beat: logistic regression of the pixels of pictures that are scaled down. Numpy only.

Learnt from the training split when it is prepared, in `baseline.npy`: a row of weights for each pixel and one of
biases, (F + 1, C). Multinomial, with a small penalty, by Nesterov's accelerated gradient ("A method for solving the
convex programming problem with convergence rate O(1/k²)", 1983) with the step that the largest eigenvalue allows.
"""

import numpy as np

from llmkit.plain import Json
from llmkit.predicting import metrics
from llmkit.store.files import Files
from llmkit.tasks.vision.pixels import Pixels

FILE = "baseline.npy"
EDGE = 14  # pixels at most: pictures of more are scaled down
PENALTY = 1e-3
STEPS = 300
FIGURES = ("accuracy", "macro_f1", "roc_auc", "log_loss", "calibration_error")


def features(pictures: np.ndarray, of: Pixels) -> np.ndarray:
    """(N, F + 1) float32 of pictures (N, H, H, C) uint8: means of squares of pixels, standardized, and a 1."""
    size = -(-of.edge // EDGE)
    count = of.edge // size
    cut = pictures[:, : count * size, : count * size].astype(np.float32)
    small = cut.reshape(len(cut), count, size, count, size, of.colours).mean(axis=(2, 4))
    scaled = (small - np.array(of.mean, np.float32)) / np.array(of.deviation, np.float32)
    return np.concatenate([scaled.reshape(len(cut), -1), np.ones((len(cut), 1), np.float32)], axis=1)


def learn(given: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Weights (F + 1, C) float32 of features (N, F + 1) and label numbers (N,), of which there are `count`."""
    wanted = np.eye(count, dtype=np.float32)[labels]
    # Half the largest eigenvalue bounds the curvature of the loss (Böhning 1992).
    step = 1 / (0.5 * _largest(given) / len(given) + PENALTY)
    weights = before = np.zeros((given.shape[1], count), np.float32)
    for number in range(STEPS):
        ahead = weights + number / (number + 3) * (weights - before)
        error = metrics.softmax(given @ ahead).astype(np.float32) - wanted
        slope = given.T @ error / len(given)
        slope[:-1] += PENALTY * ahead[:-1]
        before, weights = weights, ahead - np.float32(step) * slope
    return weights


def measure(folder: Files, of: Pixels, pictures: np.ndarray, labels: np.ndarray, names: list[str]) -> Json:
    """{"logistic": metrics} as `evaluate --json` prints them in `baselines`. Raises InputError."""
    weights, given = folder.array(FILE), features(pictures, of)
    if weights.shape != (given.shape[1], len(names)) or weights.dtype != np.float32 or not np.isfinite(weights).all():
        raise folder.damaged(FILE, "it is of other pictures or labels")
    found = metrics.of_probabilities(metrics.softmax(given @ weights), labels, names)
    return {"logistic": {name: found[name] for name in FIGURES}}


def _largest(given: np.ndarray) -> float:
    """The largest eigenvalue of given.T @ given, by power iteration, with a little more for what it misses."""
    vector = np.ones(given.shape[1], np.float32)
    value = 1.0
    for _ in range(30):
        vector = given.T @ (given @ vector)
        value = float(np.linalg.norm(vector))
        vector /= np.float32(value)
    return 1.05 * value
