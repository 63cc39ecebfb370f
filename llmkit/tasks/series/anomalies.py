"""What is out of the ordinary: how surprising values are beside what was forecast one step before each. Numpy only.

A value's surprise is -log2 of the probability that the forecast gave to values as far out or farther, on either side:
0 at the median, 4.3 bits at the edge of the interval of 95 %. How many bits make an alarm follows from what the model
saw on its validation split and from how many alarms are wanted.
"""

from collections.abc import Sequence

import numpy as np

from llmkit.predicting.forecast_metrics import LEVELS

MOST_KEPT = 1000  # surprises of the validation split that travel with a model
FARTHEST = 1000.0  # bits
TINY = 1e-12
TAIL = np.log2(LEVELS[0] / LEVELS[1])  # bits that a tail loses from the second quantile to the outermost


def surprise(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Bits (N,) by which values (N,) surprise whoever forecast quantiles (N, Q); NaN for what is missing.

    Between quantiles the distribution is linear; beyond the outermost its tails fall exponentially, as fast as from the
    second quantile to the outermost.
    """
    lower = _bits_below(values, quantiles)
    upper = _bits_below(-values, -quantiles[:, ::-1])
    return np.clip(np.maximum(lower, upper) - 1, 0.0, FARTHEST)


def threshold(surprises: Sequence[float], allowed: float) -> float:
    """The bits from which a value is an alarm, so that of a validation split `allowed` values are.

    `surprises`: the largest of that split, falling. Where less than one alarm is allowed, rarer ones are taken to be as
    much rarer as their bits say.
    """
    if allowed < 1:
        return surprises[0] - float(np.log2(allowed))
    return surprises[min(int(allowed), len(surprises)) - 1]


def still(values: np.ndarray) -> np.ndarray:
    """(N,): how many values up to each one are the same as it, itself included; 0 where it is missing."""
    places = np.arange(len(values))
    changes = np.append(True, values[1:] != values[:-1])  # NaN is never the same
    lengths = places - np.maximum.accumulate(np.where(changes, places, 0)) + 1
    return np.where(np.isnan(values), 0, lengths)


def _bits_below(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """-log2 of the probability (N,) of values up to these."""
    levels, last = np.array(LEVELS), len(LEVELS) - 1
    place = (quantiles <= values[:, None]).sum(axis=1)
    low, high = np.clip(place - 1, 0, last), np.clip(place, 0, last)
    rows = np.arange(len(values))
    below, width = quantiles[rows, low], quantiles[rows, high] - quantiles[rows, low]
    share = np.where(width > 0, (values - below) / np.maximum(width, TINY), 0.0)
    inside = levels[low] + share * (levels[high] - levels[low])
    gap = np.maximum(quantiles[:, 1] - quantiles[:, 0], 1e-6 * (quantiles[:, last] - quantiles[:, 0]) + TINY)
    beyond = np.log2(LEVELS[0]) + TAIL * np.minimum((quantiles[:, 0] - values) / gap, FARTHEST)
    bits = -np.where(place == 0, beyond, np.where(place > last, 0.0, np.log2(np.clip(inside, LEVELS[0], 1.0))))
    return np.where(np.isnan(values), np.nan, bits)
