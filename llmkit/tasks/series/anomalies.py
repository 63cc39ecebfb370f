"""What is out of the ordinary: how surprising values are beside what was forecast one step before each. Numpy only.

A value's surprise is -log2 of the probability that the forecast gave to values as far out or farther, on either side:
0 at the median, 4.3 bits at the edge of the interval of 95 %. How many bits make an alarm follows from what the model
saw on its validation split and from how many alarms are wanted.
"""

from collections.abc import Sequence

import numpy as np

from llmkit.predicting.forecast_metrics import LEVELS

MOST_KEPT = 1000  # surprises of the validation split of different clusters that travel with a model
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


def peaks(bits: np.ndarray, places: np.ndarray, apart: int) -> np.ndarray:
    """The largest bits (N,), falling, of which no two lie within `apart` places (N,) of each other; NaN is left out.

    What is out of the ordinary comes in clusters, and one of these is one event (Coles, An Introduction to Statistical
    Modeling of Extreme Values, 2001, section 5.3).
    """
    found: list[float] = []
    taken = np.isnan(bits)
    for each in np.argsort(-bits, kind="stable"):
        if not taken[each] and len(found) < MOST_KEPT:
            found.append(float(bits[each]))
            taken |= np.abs(places - places[each]) <= apart
    return np.array(found)


def alarms(bits: np.ndarray, limit: float, apart: int) -> np.ndarray:
    """(N,) bool: where bits (N,) reach the limit, once for what comes within `apart` of each other.

    There is another alarm for what is twice as surprising, in bits, as the one before.
    """
    found = np.zeros(len(bits), bool)
    last, raised = -apart - 1, 0.0
    for place in np.flatnonzero((bits >= limit) & (bits > 0)).tolist():
        if place - last > apart or bits[place] >= 2 * raised:
            found[place], raised = True, float(bits[place])
        last = place
    return found


def threshold(surprises: Sequence[float], allowed: float) -> float:
    """The bits from which a value is an alarm, so that there are `allowed` alarms on a validation split.

    `surprises`: the `peaks` of that split. Where less than one alarm is allowed, rarer ones are taken to be as
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
