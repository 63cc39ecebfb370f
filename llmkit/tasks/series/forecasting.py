"""series.json of a model folder: what turns the network's outputs into forecasts, and the series that it was made of.

Beside it lies ends.npy (N, L) float32, the last L values of each series, so that a model forecasts them by itself.
"""

import itertools
import json
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import structs

from llmkit.predicting.forecast_metrics import LEVELS, pinball
from llmkit.store.files import Files
from llmkit.tasks.series import anomalies, windows
from llmkit.tasks.series.settings import Steps
from llmkit.tasks.series.windows import Windows

FILE, ENDS = "series.json", "ends.npy"
MOST_ENDS = 1000  # series whose last values travel with the model


class Forecasting(msgspec.Struct, frozen=True):
    """What series.json holds."""

    context: Steps
    """L, the steps of the past that the network sees."""
    season: Steps
    horizon: Steps
    """H, the steps that it forecasts."""
    step: float
    """Seconds from one value to the next."""
    minimum: float | None
    stretch: list[float]
    """(Q,): what distances of the quantiles to the median are multiplied by, fitted to the validation split."""
    names: list[str]
    """Of the series in ends.npy."""
    ends: list[float | None]
    """Seconds since 1970 of the first value after each of them; None without times."""
    surprises: list[float] = []
    """Bits of the validation split's most surprising values one step ahead, no two within a season, falling."""
    judged: int = 0
    """How many values of that split these were found among."""
    still: int = 0
    """How many values of a series in a row were the same, at most."""

    def to_bytes(self) -> bytes:
        """The file."""
        return (json.dumps(msgspec.to_builtins(self), ensure_ascii=False) + "\n").encode(errors="backslashreplace")

    def quantiles(self, outputs: np.ndarray, before: Windows) -> np.ndarray:
        """Quantiles (N, H, Q) of outputs (N, H·Q) for windows, in the series' own unit."""
        found = windows.in_order(windows.quantiles(outputs, before.base, np.array(self.stretch)))
        found = before.unscaled(found)
        return found if self.minimum is None else np.maximum(found, self.minimum)

    def fitted(self, outputs: np.ndarray, before: Windows, truth: np.ndarray, origins: np.ndarray) -> "Forecasting":
        """The same with stretches and surprises for outputs (N, H·Q) whose truth (N, H) is known.

        `origins` (N,) tell how many steps lie between two forecasts.
        """
        plain = windows.quantiles(outputs, before.base)
        about = structs.replace(self, stretch=windows.stretches(before.scaled(truth), plain).tolist())
        bits = anomalies.surprise(truth[:, 0], about.quantiles(outputs, before)[:, 0])
        found = anomalies.peaks(bits, origins, self.season)
        return structs.replace(about, surprises=found.tolist(), judged=int((~np.isnan(bits)).sum()))

    def alarm_from(self, alarms_per_day: float) -> float:
        """The bits of surprise from which a value is an alarm. Without times a season stands for a day."""
        timed = any(end is not None for end in self.ends)
        days = self.judged * self.step / windows.DAY if timed else self.judged / self.season
        return anomalies.threshold(self.surprises, alarms_per_day * days)


@dataclass(frozen=True)
class Ends:
    """The last values (N, L) of named series, and when they go on (N,)."""

    names: list[str]
    past: np.ndarray
    moments: np.ndarray


def read(folder: Files) -> Forecasting:
    """series.json of a model folder. Raises InputError."""
    found = folder.read_as(FILE, Forecasting)
    if len(found.stretch) != len(LEVELS) or not all(0 < factor < 1e9 for factor in found.stretch):
        raise folder.damaged(FILE, f"its stretch is not {len(LEVELS)} numbers above 0")
    if found.context < found.season:
        raise folder.damaged(FILE, "its context is shorter than a season")
    if not 0 < found.step < 1e12:
        raise folder.damaged(FILE, "its step is not a number of seconds above 0")
    if found.minimum is not None and not np.isfinite(found.minimum):
        raise folder.damaged(FILE, "its minimum is no number")
    falling = all(a >= b for a, b in itertools.pairwise(found.surprises))
    if not falling or not all(0 <= bits <= anomalies.FARTHEST for bits in found.surprises):
        raise folder.damaged(FILE, f"its surprises are not falling numbers from {anomalies.FARTHEST:g} to 0")
    if found.judged < len(found.surprises) or found.still < 0:
        raise folder.damaged(FILE, "it counts less than it holds")
    if len(found.names) != len(found.ends):
        raise folder.damaged(FILE, f"it has {len(found.names)} names and {len(found.ends)} ends")
    return found


def read_ends(folder: Files) -> Ends:
    """The series that a model was made of, as far as they travel with it. Raises InputError."""
    about = read(folder)
    past = folder.array(ENDS)
    if past.shape != (len(about.names), about.context) or past.dtype != np.float32 or not np.isfinite(past).all():
        raise folder.damaged(ENDS, f"it is not {len(about.names)} series of {about.context} numbers")
    moments = np.array([np.nan if end is None else end for end in about.ends], np.float64)
    return Ends(about.names, past.astype(np.float64), moments)


def loss(found: np.ndarray, truth: np.ndarray, scales: np.ndarray) -> float:
    """Twice the mean pinball loss of quantiles (N, H, Q), of errors from the truth (N, H) over scales (N,).

    Of a forecast without spread it is the mean absolute scaled error.
    """
    lost = [pinball(truth, found[..., k], level) / scales[:, None] for k, level in enumerate(LEVELS)]
    return float(2 * np.nanmean(lost))
