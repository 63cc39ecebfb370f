"""Windows of the past as the network takes them, and forecasts as people do. Numpy only.

A window is scaled by its own level and spread, so that one network serves series of any size; what the network adds to
is the season before, in the same units. In between lies nothing that looks ahead: a window is made of values up to its
origin alone.
"""

from dataclasses import dataclass

import numpy as np

from llmkit.predicting.forecast_metrics import LEVELS, MEDIAN

DAY, WEEK, YEAR = 86_400.0, 604_800.0, 31_556_952.0  # seconds; of a year the mean
CALENDAR = 6  # numbers that say when a forecast begins
SMALLEST = 1e-4  # of a spread, as a share of the level
TINY = 1e-12
FARTHEST = 8.0  # spreads from the level that the network sees of a value
STEEPEST = 30.0  # beyond it softplus is the number itself


@dataclass(frozen=True)
class Windows:
    """N windows: `features` (N, L + 6) float32; `base` (N, H), the season before; `level`, `spread` (N,) float64."""

    features: np.ndarray
    base: np.ndarray
    level: np.ndarray
    spread: np.ndarray

    def __len__(self) -> int:
        return len(self.level)

    def take(self, which: np.ndarray) -> "Windows":
        """Some of them, by number."""
        return Windows(self.features[which], self.base[which], self.level[which], self.spread[which])

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Values (N, H) that follow, in the windows' units."""
        return (values - self.level[:, None]) / self.spread[:, None]

    def unscaled(self, values: np.ndarray) -> np.ndarray:
        """The other way, (N, H, Q)."""
        return values * self.spread[:, None, None] + self.level[:, None, None]


def of_past(past: np.ndarray, moments: np.ndarray, season: int, horizon: int) -> Windows:
    """Windows of the L values (N, L) before the origins, which are `moments` (N,), seconds or NaN where none is known.

    The level is the mean of the last season; the spread the mean distance to the level.
    """
    recent = past[:, -min(past.shape[1], season) :]
    level = recent.mean(axis=1)
    off = past - level[:, None]
    spread = np.abs(off).mean(axis=1)
    spread = np.maximum(np.maximum(spread, SMALLEST * np.abs(level)), TINY)
    scaled = np.clip(off / spread[:, None], -1e6, 1e6)
    seen = np.clip(scaled, -FARTHEST, FARTHEST)  # the scale of 8-bit activations is that of the farthest value
    features = np.concatenate([seen, calendar(moments)], axis=1).astype(np.float32)
    back = past.shape[1] - season + np.arange(horizon) % season
    return Windows(features, scaled[:, np.maximum(back, 0)], level, spread)


def calendar(moments: np.ndarray) -> np.ndarray:
    """Where moments (N,) lie in day, week and year: (N, 6) sines and cosines, 0 where no moment is known."""
    turns = 2 * np.pi * np.stack([moments / DAY, moments / WEEK, moments / YEAR], axis=1)
    found = np.concatenate([np.sin(turns), np.cos(turns)], axis=1)
    return np.where(np.isnan(found), 0.0, found)


def filled(values: np.ndarray, season: int) -> np.ndarray:
    """Values (N,) without gaps: what is missing is the value a season before or, where none is, the one before.

    The first value is there. Each is filled from earlier ones alone.
    """
    values = values.copy()
    for place in np.flatnonzero(np.isnan(values)):
        values[place] = values[place - season] if place >= season else values[place - 1]
    return values


def with_beginning(values: np.ndarray, length: int, season: int) -> np.ndarray:
    """Values (N,) after `length` more that repeat the first season backwards, in phase."""
    period = min(season, len(values))
    return np.concatenate([values[np.arange(-length, 0) % period], values])


def last_window(values: np.ndarray, length: int, season: int) -> np.ndarray:
    """The last `length` of values (N,), which may hold NaN but not at first; of shorter ones the beginning repeats."""
    return with_beginning(filled(values, season), length, season)[-length:]


# --- outputs of the network to quantiles ----------------------------------------------------------------------------


def quantiles(outputs: np.ndarray, base: np.ndarray, stretch: np.ndarray | None = None) -> np.ndarray:
    """Quantiles (N, H, Q) in the windows' units of outputs (N, H·Q), beside `base` (N, H).

    The output at the median moves it; the others are how far each quantile lies beyond the one next to the median
    (softplus), so that none cross. `stretch` (Q,), rising from the median outwards, is what distances to the median are
    multiplied by.
    """
    raw = outputs.reshape(len(outputs), -1, len(LEVELS)).astype(np.float64)
    steps = np.where(raw > STEEPEST, raw, np.log1p(np.exp(np.minimum(raw, STEEPEST))))
    above = np.cumsum(steps[..., MEDIAN + 1 :], axis=-1)
    below = np.cumsum(steps[..., MEDIAN - 1 :: -1], axis=-1)[..., ::-1]
    distances = np.concatenate([-below, np.zeros_like(above[..., :1]), above], axis=-1)
    if stretch is not None:
        distances = distances * stretch
    return (base + raw[..., MEDIAN])[..., None] + distances


def stretches(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(Q,): how far each pair of quantiles (N, H, Q) must be stretched to hold as many of the truths (N, H) as it says.

    Split conformal prediction on distances to the median, each pair by itself (Romano et al., arXiv 1905.03222); an
    outer pair is stretched so far that it never lies within an inner one, on average.
    """
    seen = ~np.isnan(truth)
    off = (truth - found[..., MEDIAN])[seen]
    distances = np.maximum(np.abs(found - found[..., MEDIAN : MEDIAN + 1])[seen], TINY)  # (M, Q)
    result = np.ones(len(LEVELS))
    for pair in range(MEDIAN):
        low, high = pair, len(LEVELS) - 1 - pair
        scores = np.sort(np.where(off < 0, -off / distances[:, low], off / distances[:, high]))
        rank = int(np.ceil((len(scores) + 1) * (LEVELS[high] - LEVELS[low]) - 1e-9))
        if rank <= len(scores):  # else there are too few to tell
            result[low] = result[high] = scores[rank - 1]
    return result


def in_order(found: np.ndarray) -> np.ndarray:
    """Quantiles (N, H, Q) that do not cross: each at least as far from the median as the one within."""
    upper = np.maximum.accumulate(found[..., MEDIAN:], axis=-1)
    lower = np.minimum.accumulate(found[..., MEDIAN::-1], axis=-1)[..., ::-1]
    return np.concatenate([lower[..., :-1], upper], axis=-1)
