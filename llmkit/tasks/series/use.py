"""A forecaster in use: past values in, quantiles of what comes out. Without torch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from llmkit.data import date_format, series_times
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.predicting.forecast_metrics import LEVELS, MEDIAN
from llmkit.predicting.use import Done, Feeds, Predictor, nothing
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.series import anomalies, forecasting, windows
from llmkit.tasks.series.examples import Examples
from llmkit.tasks.series.prepare import About
from llmkit.tasks.series.settings import ALARMS_PER_DAY
from llmkit.tasks.series.windows import Windows

BATCH = 1024
JUDGED_AT_ONCE = 4096
MOST_VALUES = 10_000_000  # of a history


class Past(NamedTuple):
    """What is known of one series: its values, NaN where missing, and when the first one after them is, if ever."""

    name: str
    values: np.ndarray
    moment: float
    """Seconds since 1970, NaN without times."""


class Forecaster(Predictor[Windows]):
    """A loaded model folder of series. Its answers are quantiles (N, H, Q) at `forecast_metrics.LEVELS`."""

    def __init__(self, folder: ModelFolder, threads: int | None = None):
        """See `Predictor`."""
        self.about = forecasting.read(folder)
        super().__init__(folder, self._windows_of, self._feeds_of, self.about.horizon * len(LEVELS), threads)

    def __repr__(self) -> str:
        return f"Forecaster({str(self.folder.path)!r}, {self.about.horizon} steps ahead)"

    # --- forecasts ---------------------------------------------------------------------------------------------------

    def forecast(self, history: Any = None, horizon: int | None = None) -> Any:
        """What comes after a history: {"name", "times", "median", "quantiles": {level: […]}}, each list of `horizon`.

        `history` is a list of numbers (None or NaN where missing), a mapping {"values": […], "start": a time, "name":
        …}, or a list of these, which gives a list; by default the series that the model was made of. `times` is None
        without times. Beyond its own horizon the model goes on from its median, with intervals that widen with the root
        of the number of times it does so. Raises InputError for a history that is none, ConfigError for a horizon that
        is out of range.
        """
        check_horizon(horizon)
        pasts, one = self._pasts(history)
        found = self.forecasts(pasts, horizon)
        return found[0] if one else found

    def anomalies(self, history: Any = None, alarms_per_day: float = ALARMS_PER_DAY) -> Any:
        """Each value of a history beside what was forecast for it one step before: {"name", "times", "values",
        "expected", "lower_95", "upper_95", "surprise", "alarm"}, lists of a value for each that a season lies before.

        `surprise` is in bits (`anomalies.surprise`). `alarm` is "surprise" where so surprising a value came no more
        often than `alarms_per_day` a series on the validation split (`anomalies.alarms`: once for what comes within a
        season), "still" where more than twice as many values in a row are the same as ever in training, else None.
        `history` as in `forecast`. Raises InputError, ConfigError.
        """
        if not (isinstance(alarms_per_day, int | float) and 0 < alarms_per_day < np.inf):
            raise ConfigError(f"alarms_per_day is {alarms_per_day!r}; give a number above 0, such as 0.14: one a week")
        pasts, one = self._pasts(history)
        found = [self.judged(past, alarms_per_day) for past in pasts]
        return found[0] if one else found

    def judged(self, past: Past, alarms_per_day: float) -> Json:
        """The values of one series as `anomalies` gives them."""
        about = self.about
        if not about.judged:
            raise InputError(f"{self.folder.path} does not say what surprised it in training; train it again")
        times = None if np.isnan(past.moment) else series_times.preceding(past.moment, about.step, len(past.values))
        begin = None if times is None else float(times[0])
        known = About([past.name], [begin], about.step, about.season, about.horizon, about.minimum)
        examples = Examples([past.values], known, about.context, [len(past.values)])
        origins = examples.one_ahead()
        parts = []
        for start in range(0, len(origins), JUDGED_AT_ONCE):
            which = origins[start : start + JUDGED_AT_ONCE]
            parts.append(self.answers(examples.windows(which))[:, 0])
        quantiles = np.concatenate(parts) if parts else np.zeros((0, len(LEVELS)))
        values = past.values[origins]
        bits, limit = anomalies.surprise(values, quantiles), about.alarm_from(alarms_per_day)
        stuck = anomalies.still(past.values)[origins] == 2 * about.still + 1
        surprising = anomalies.alarms(bits, limit, about.season)
        alarms = np.where(surprising, "surprise", np.where(stuck, "still", ""))
        return {
            "name": past.name,
            "times": None if times is None else [series_times.text_of(each) for each in times[origins]],
            "values": [None if np.isnan(value) else value for value in values.tolist()],
            "expected": quantiles[:, MEDIAN].tolist(),
            "lower_95": quantiles[:, 0].tolist(),
            "upper_95": quantiles[:, -1].tolist(),
            "surprise": [None if np.isnan(each) else each for each in bits.tolist()],
            "alarm": [each or None for each in alarms.tolist()],
        }

    def forecasts(self, pasts: Sequence[Past], horizon: int | None = None) -> list[Json]:
        """The forecast of each series, as `forecast` gives it."""
        steps = horizon or self.about.horizon
        found = self.quantiles(pasts, steps)
        return [
            {
                "name": past.name,
                "times": self._times(past.moment, steps),
                "median": quantiles[:, MEDIAN].tolist(),
                "quantiles": {f"{level:g}": quantiles[:, k].tolist() for k, level in enumerate(LEVELS)},
            }
            for past, quantiles in zip(pasts, found, strict=True)
        ]

    def quantiles(self, pasts: Sequence[Past], horizon: int) -> np.ndarray:
        """Quantiles (N, `horizon`, Q) of what comes after each of N series."""
        about, parts = self.about, []
        histories = [past.values for past in pasts]
        moments = np.array([past.moment for past in pasts], np.float64)
        for block in range(-(-horizon // about.horizon)):
            later = moments + block * about.horizon * about.step
            found = self.answers(self.read([Past("", h, m) for h, m in zip(histories, later, strict=True)]))
            median = found[..., MEDIAN : MEDIAN + 1]
            wider = median + (found - median) * (block + 1) ** 0.5
            parts.append(wider if about.minimum is None else np.maximum(wider, about.minimum))
            histories = [np.concatenate([h, m[:, 0]]) for h, m in zip(histories, median, strict=True)]
        return np.concatenate(parts, axis=1)[:, :horizon]

    def ends(self) -> list[Past]:
        """The series that the model was made of, up to their ends."""
        known = forecasting.read_ends(self.folder)
        return [Past(*each) for each in zip(known.names, known.past, known.moments.tolist(), strict=True)]

    def _pasts(self, history: Any) -> tuple[list[Past], bool]:
        """(the series of a history as people write it, whether it was one and no list of them)."""
        if history is None:
            return self.ends(), False
        one = isinstance(history, Mapping) or not len(history) or (np.ndim(history[0]) == 0 and _is_number(history[0]))
        each = [history] if one else history
        return [past_of(given, number, self.about.step) for number, given in enumerate(each, 1)], one

    def answers(self, examples: Windows, progress: Done = nothing) -> np.ndarray:
        """Quantiles (N, H, Q), in the series' own units."""
        return self.about.quantiles(self.outputs(examples, progress), examples)

    def loss(self, answers: np.ndarray, targets: np.ndarray) -> float:
        """`forecasting.loss`; targets (N, H + 1) are the truth and, last, the scale of the series' errors."""
        return forecasting.loss(answers, targets[:, :-1], targets[:, -1])

    def _windows_of(self, pasts: Sequence[Past]) -> Windows:
        about = self.about
        known = [windows.last_window(past.values, about.context, about.season) for past in pasts]
        moments = np.array([past.moment for past in pasts], np.float64)
        return windows.of_past(np.array(known).reshape(-1, about.context), moments, about.season, about.horizon)

    def _feeds_of(self, examples: Windows) -> Iterator[tuple[np.ndarray, Feeds]]:
        for start in range(0, len(examples), BATCH):
            which = np.arange(start, min(start + BATCH, len(examples)))
            yield which, {"numbers": examples.features[which]}

    def _times(self, moment: float, steps: int) -> list[str] | None:
        """The times of a forecast, in UTC where the data named a time zone; None without times."""
        if np.isnan(moment):
            return None
        return [series_times.text_of(each) for each in series_times.following(moment, self.about.step, steps)]


def past_of(history: Any, number: int, step: float) -> Past:
    """A history as people write it. Raises InputError."""
    name, start, values = f"history {number}", None, history
    if isinstance(history, Mapping):
        name, start, values = str(history.get("name", name)), history.get("start"), history.get("values")
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise InputError(f"{name}: past values are a list of numbers, not {type(values).__name__}")
    if len(values) > MOST_VALUES:
        raise InputError(f"{name}: {len(values):,} past values are too many; give the last {MOST_VALUES:,} at most")
    try:
        found = np.array([np.nan if value is None else float(value) for value in values], np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: past values are numbers, or null where missing ({error})") from error
    return after(name, found, _seconds(start, name), step)


def after(name: str, values: np.ndarray, start: float, step: float) -> Past:
    """A series (N,) from `start` on, seconds or NaN, as what is known before what comes. Raises InputError."""
    if np.isinf(values).any() or (np.abs(values[np.isfinite(values)]) > 1e30).any():
        raise InputError(f"{name}: a past value is beyond 1e30; mend it, or give it as missing")
    there = np.flatnonzero(np.isfinite(values))
    if not len(there):
        raise InputError(f"{name}: there is no past value to go on from")
    moment = series_times.following(start, step, len(values) + 1)[-1] if np.isfinite(start) else np.nan
    return Past(name, values[there[0] :], float(moment))


def _seconds(start: object, name: str) -> float:
    if start is None:
        return np.nan
    text = str(start)
    found = date_format.find([text])
    moment = date_format.parse(text, found.format) if found else None
    if moment is None:
        raise InputError(f"{name}: the start {text[:40]!r} is no time; write 2024-03-01 or 2024-03-01T12:30")
    return moment.days * series_times.DAY


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float | np.number)


def check_horizon(horizon: int | None) -> None:
    """Raise ConfigError for a horizon that is none."""
    if horizon is not None and not 1 <= horizon <= 10_000:
        raise ConfigError(f"a horizon of {horizon} steps is out of range; 1 to 10000 can be forecast")


def load(folder: ModelFolder, threads: int | None = None) -> Forecaster:
    """The model of a folder."""
    model = Forecaster(folder, threads)
    model.opened_by = load
    return model
