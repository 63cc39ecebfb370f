"""Intervals that cover: how far each way a prediction must reach, learnt from validation examples. Numpy only.

A network gives a prediction m and two spreads, how far it thinks the truth may lie below and above. The score of a
validation example is by how many spreads the truth was off; the interval of coverage c reaches as many spreads as the
score that a share c of those examples stays within. That is split conformal prediction on a nested family of intervals,
a form of conformalized quantile regression (Romano et al., arXiv 1905.03222, section 4; Gupta et al., "Nested conformal
prediction", arXiv 1910.10562): for examples like those of validation the coverage holds whatever the network learnt.
"""

import math
from dataclasses import dataclass

import numpy as np

from llmkit.errors import ConfigError

MOST_SCORES = 1000  # that are kept; between two of them the larger one counts, so that coverage is not lost
SMALLEST_SPREAD = 1e-6  # of a spread, in the target's own deviations


@dataclass(frozen=True)
class Scores:
    """The scores of `count` validation examples, rising; where there are many, evenly spaced ones of them."""

    values: list[float]
    count: int

    @property
    def whole(self) -> bool:
        """Whether there are any, as many as are counted at most."""
        return 0 < len(self.values) <= self.count

    @property
    def widest(self) -> float:
        """The largest coverage that so few examples can promise."""
        return self.count / (self.count + 1)

    def reach(self, coverage: float) -> float:
        """How many spreads an interval of this coverage reaches. Raises ConfigError where it asks for too much.

        It is the k-th smallest score of n, k = ceil((n + 1) · coverage).
        """
        rank = math.ceil((self.count + 1) * coverage - 1e-9)
        if rank > self.count:
            raise ConfigError(
                f"an interval of coverage {coverage:g} cannot be told from {self.count:,} validation examples; ask "
                f"for {math.floor(1000 * self.widest) / 1000:g} at most, or train with a larger prepare.split.val"
            )
        place = math.ceil(rank * len(self.values) / self.count - 1e-9)
        return self.values[place - 1]


def scores(truths: np.ndarray, predictions: np.ndarray, below: np.ndarray, above: np.ndarray) -> Scores:
    """The scores of examples (N,): truths, predictions and the spreads each way, all in one unit."""
    off = truths - predictions
    found = np.sort(np.abs(off) / np.maximum(np.where(off < 0, below, above), SMALLEST_SPREAD))
    kept = min(len(found), MOST_SCORES)
    ranks = -(-np.arange(1, kept + 1) * len(found) // kept)  # the last of each equal part
    return Scores([_rounded_up(value) for value in found[ranks - 1].tolist()], len(found))


def _rounded_up(value: float) -> float:
    """To seven digits, never down: the example itself stays within."""
    return float(f"{value * (1 + 5e-7):.7g}")


def bounds(
    predictions: np.ndarray, below: np.ndarray, above: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """(lower, upper) ends (N,) of intervals that reach so many spreads."""
    below, above = np.maximum(below, SMALLEST_SPREAD), np.maximum(above, SMALLEST_SPREAD)
    return predictions - reach * below, predictions + reach * above
