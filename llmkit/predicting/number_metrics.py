"""Metrics of predicted numbers and their intervals against the true numbers. Numpy only."""

import numpy as np

from llmkit.plain import Json


def of_numbers(
    truths: np.ndarray, predictions: np.ndarray, lower: np.ndarray, upper: np.ndarray, interval: float
) -> Json:
    """What `evaluate --json` prints of numbers (N,) and of intervals of the coverage `interval`.

    Units are those of the numbers; r2 is None where all truths are the same. pinball_loss is the mean of that of the
    interval's two ends, quantiles (1 ± interval) / 2 (Koenker & Bassett, Econometrica 1978).
    """
    low, high = (1 - interval) / 2, (1 + interval) / 2
    return {
        **of_predictions(truths, predictions),
        "coverage": float(((lower <= truths) & (truths <= upper)).mean()),
        "interval_width": float((upper - lower).mean()),
        "interval": interval,
        "pinball_loss": float((pinball(truths, lower, low).mean() + pinball(truths, upper, high).mean()) / 2),
        "examples": len(truths),
    }


def of_predictions(truths: np.ndarray, predictions: np.ndarray) -> Json:
    """rmse, mae, r2 and median_absolute_error of numbers (N,)."""
    off = np.abs(predictions - truths)
    spread = float(((truths - truths.mean()) ** 2).mean())
    mean_square = float((off**2).mean())
    return {
        "rmse": mean_square**0.5,
        "mae": float(off.mean()),
        "r2": 1 - mean_square / spread if spread > 0 else None,
        "median_absolute_error": float(np.median(off)),
    }


def pinball(truths: np.ndarray, predictions: np.ndarray, quantile: float) -> np.ndarray:
    """The loss (N,) of which the quantile is the minimum: `quantile` per unit too low, 1 - `quantile` per unit too
    high."""
    off = truths - predictions
    return np.maximum(quantile * off, (quantile - 1) * off)
