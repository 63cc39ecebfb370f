"""How good forecasts are: MASE, sMAPE, weighted quantile loss, coverage, mean scaled interval score. Numpy only.

In: the truth (N, H) of N forecasts of H steps, NaN where it is missing; quantiles (N, H, Q) at the levels (Q,); the
series (N,) of each; the scale (N,) of its errors. Figures are means over the forecasts of a series, then over series.
"""

from dataclasses import dataclass

import numpy as np

from llmkit.plain import Json

LEVELS = (0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975)
MEDIAN = LEVELS.index(0.5)


@dataclass(frozen=True)
class Truth:
    """What came after the origins: values (N, H), series number (N,), scale of errors (N,), above 0."""

    values: np.ndarray
    series: np.ndarray
    scales: np.ndarray


def seasonal_scale(values: np.ndarray, season: int) -> float:
    """Mean absolute difference to the season before (N,): what MASE divides by (Hyndman, Koehler 2006, section 3).

    Where that is 0 or there are too few values, the difference to the value before, else the level, else 1.
    """
    for back in (season, 1):
        if len(values) > back:
            off = np.abs(values[back:] - values[:-back])
            if (found := float(np.nanmean(off)) if np.isfinite(off).any() else 0.0) > 0:
                return found
    level = float(np.nanmean(np.abs(values))) if np.isfinite(values).any() else 0.0
    return level if level > 0 else 1.0


def of_quantiles(truth: Truth, quantiles: np.ndarray) -> Json:
    """mase, smape (percent), mae, rmse, wql (0.1 to 0.9), coverage_80, coverage_95, msis (at 95 %)."""
    y, median = truth.values, quantiles[..., MEDIAN]
    scales = truth.scales[:, None]
    off = np.abs(y - median)
    size = np.abs(y) + np.abs(median)
    symmetric = 200 * np.divide(off, size, out=np.zeros_like(off), where=(size > 0) | np.isnan(size))
    lower, upper = quantiles[..., 0], quantiles[..., -1]
    beyond = np.maximum(lower - y, 0) + np.maximum(y - upper, 0)
    found = {
        "mase": off / scales,
        "smape": symmetric,
        "mae": off,
        "rmse": off**2,
        "coverage_80": _inside(y, quantiles[..., 1], quantiles[..., -2]),
        "coverage_95": _inside(y, lower, upper),
        "msis": (upper - lower + 2 / 0.05 * beyond) / scales,
    }
    figures = {name: _mean(values, truth.series) for name, values in found.items()}
    figures["rmse"] **= 0.5
    return figures | {"wql": weighted_quantile_loss(y, quantiles)}


def weighted_quantile_loss(y: np.ndarray, quantiles: np.ndarray) -> float:
    """Twice the pinball loss summed over all values, over the sum of their sizes; a mean over 0.1 to 0.9."""
    seen = ~np.isnan(y)
    total = float(np.abs(y[seen]).sum())
    losses = [2 * pinball(y[seen], quantiles[..., k][seen], level).sum() for k, level in enumerate(LEVELS)]
    return float(np.mean(losses[1:-1])) / (total if total > 0 else 1.0)


def pinball(y: np.ndarray, quantile: np.ndarray, level: float) -> np.ndarray:
    """The loss of a quantile at each value."""
    return np.maximum(level * (y - quantile), (level - 1) * (y - quantile))


def _inside(y: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(y), np.nan, ((lower <= y) & (y <= upper)).astype(np.float64))


def _mean(values: np.ndarray, series: np.ndarray) -> float:
    """The mean over series of the means of their values that are there."""
    seen = ~np.isnan(values)
    sums = np.bincount(series, np.where(seen, values, 0).sum(axis=1))
    counts = np.bincount(series, seen.sum(axis=1))
    return float((sums[counts > 0] / counts[counts > 0]).mean())
