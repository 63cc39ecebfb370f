"""Forecasts that nobody has to learn: the season before, and the last value. Numpy only.

Their quantiles are those of how much the series itself changed over as many steps, before what is forecast.
"""

import numpy as np

from llmkit.predicting.forecast_metrics import LEVELS


def seasonal_naive(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Quantiles (H, Q) after values (N,): those of the season before, plus changes from one season to the next."""
    seasons = np.arange(horizon) // season + 1
    place = len(past) - season + np.arange(horizon) % season
    point = past[np.maximum(place, 0)]
    changes = np.stack([_changes(past, int(count) * season) for count in range(1, seasons.max() + 1)])
    return point[:, None] + changes[seasons - 1]


def naive(past: np.ndarray, horizon: int) -> np.ndarray:
    """Quantiles (H, Q) after values (N,): the last one, plus changes over as many steps."""
    return past[-1] + np.stack([_changes(past, step) for step in range(1, horizon + 1)])


def _changes(past: np.ndarray, back: int) -> np.ndarray:
    """Quantiles (Q,) of the changes over `back` steps, the median taken as none."""
    changes = past[back:] - past[:-back] if back < len(past) else np.zeros(1)
    found = np.quantile(changes, LEVELS)
    return found - found[len(LEVELS) // 2]
