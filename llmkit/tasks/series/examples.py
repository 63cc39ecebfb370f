"""Examples of a prepared folder: every origin of every series, with the window before it and the values after it.

In: the series, and how much a model sees. Examples go by their numbers; those of a split are the origins whose values
to forecast all lie in it. Numpy only.
"""

from collections.abc import Callable, Sequence

import numpy as np

from llmkit.predicting.forecast_metrics import seasonal_scale
from llmkit.tasks.series import prepare, windows
from llmkit.tasks.series.prepare import About
from llmkit.tasks.series.settings import Model, Split
from llmkit.tasks.series.windows import Windows

CONTEXT_SEASONS, CONTEXT_HORIZONS, LONGEST_CONTEXT = 7, 3, 1024
MOST_VALIDATED = 4096  # origins; evenly spaced ones of more


def context_of(model: Model, season: int, horizon: int) -> int:
    """Steps of the past that a model of these settings sees."""
    usual = max(CONTEXT_SEASONS * season, CONTEXT_HORIZONS * horizon)
    return model.context or min(usual, max(LONGEST_CONTEXT, season))


class Examples:
    """All origins of the series; the season before an origin is known at least."""

    def __init__(self, values: Sequence[np.ndarray], about: About, context: int, ends: Sequence[int]):
        """`values` are those of each series (N), NaN where missing but not at first; the scale of its errors is that of
        the values before `ends` (N)."""
        self.values, self.about, self.context = values, about, context
        season = about.season
        beginnings = [windows.with_beginning(windows.filled(each, season), context, season) for each in values]
        self._past = np.concatenate(beginnings)
        counts = np.array([len(each) for each in values])
        self._starts = np.concatenate([[0], np.cumsum(counts)])  # of the values that are seen
        self._past_starts = np.concatenate([[0], np.cumsum(counts + context)])
        self._truth = np.concatenate([*values, np.full(about.horizon, np.nan)])
        self.scales = np.array([seasonal_scale(v[:end], season) for v, end in zip(values, ends, strict=True)])  # (N,)
        self.series = np.repeat(np.arange(len(values)), counts)  # (M,) of each origin, which goes by its place in all

    def within(self, first: Callable[[int], int], last: Callable[[int], int], stride: int = 1) -> np.ndarray:
        """Origins, each `stride` steps apart, whose horizon lies in [first(length), last(length)) of each series."""
        found = []
        for number, values in enumerate(self.values):
            begin = max(first(len(values)), min(self.about.season, len(values)))
            end = last(len(values)) - self.about.horizon + 1
            found.append(self._starts[number] + np.arange(begin, end, stride))
        return np.concatenate(found).astype(np.int64)

    def one_ahead(self) -> np.ndarray:
        """The origins before each value that a season lies before."""
        season = self.about.season
        ranges = [self._starts[k] + np.arange(min(season, len(v)), len(v)) for k, v in enumerate(self.values)]
        return np.concatenate(ranges).astype(np.int64)

    def of_split(self, name: str, split: Split, stride: int = 1) -> np.ndarray:
        """The origins of train, val or test."""
        horizon = self.about.horizon

        def val(length: int) -> int:
            return prepare.val_from(length, horizon, split)

        def test(length: int) -> int:
            return prepare.test_from(length, horizon, split)

        bounds = {"train": (lambda n: 0, val), "val": (val, test), "test": (test, lambda n: n)}
        return self.within(*bounds[name], stride)

    def windows(self, origins: np.ndarray) -> Windows:
        """What is known before the origins (B,)."""
        series = self.series[origins]
        places = origins - self._starts[series] + self._past_starts[series] + self.context
        past = np.lib.stride_tricks.sliding_window_view(self._past, self.context)[places - self.context]
        return windows.of_past(past, self.moments(origins), self.about.season, self.about.horizon)

    def moments(self, origins: np.ndarray) -> np.ndarray:
        """When the first values to forecast are (B,): seconds since 1970, NaN without times."""
        begins = np.array([np.nan if begin is None else begin for begin in self.about.begins])
        series = self.series[origins]
        return begins[series] + (origins - self._starts[series]) * self.about.step

    def truth(self, origins: np.ndarray) -> np.ndarray:
        """The values (B, H) that come, NaN where missing."""
        return np.lib.stride_tricks.sliding_window_view(self._truth, self.about.horizon)[origins]

    def before(self, origin: int) -> np.ndarray:
        """The values (N,) of its series before an origin, gaps filled."""
        series = self.series[origin]
        begin = self._past_starts[series] + self.context
        return self._past[begin : begin + origin - self._starts[series]]


def validated(origins: np.ndarray) -> np.ndarray:
    """The origins that validation forecasts from."""
    kept = np.linspace(0, len(origins) - 1, min(len(origins), MOST_VALIDATED)).round().astype(np.int64)
    return origins[kept]
