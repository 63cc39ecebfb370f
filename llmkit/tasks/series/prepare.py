"""Raw files to series of numbers, evenly spaced, with the times that are held out.

In: the section `prepare` of the config. Out, in the folder `out`:

    values.npy   float64, the values of all series one after the other, NaN where missing
    starts.npy   (series + 1,) int64, where each begins
    about.json   what is known of the series (`Series`)
    meta.json    counts, splits, sources

Of each series the last `split.test` horizons are the test, `split.val` horizons before them validate, and what comes
before trains. The same files and settings give the same bytes.
"""

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import histories, prepared_folder, series_times
from llmkit.data.decoding import check_encoding
from llmkit.data.files import find_files, hash_files
from llmkit.data.histories import Columns, History
from llmkit.data.rows import all_rows
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store import new_files
from llmkit.store.files import Files
from llmkit.store.manifests import Source
from llmkit.tasks.series.settings import Prepare, Split

ABOUT = "about.json"
USUAL_HORIZON = 12  # where the times have no season
SHOWN = 5  # names in a message
MERE_COUNT = 1e6  # times up to it are no seconds since 1970 but numbers of rows


class About(msgspec.Struct, frozen=True):
    """What is known of the series (N) of a prepared folder."""

    names: list[str]
    begins: list[float | None]
    """Seconds since 1970 of the first value; None where there are no times."""
    step: float
    """Seconds from one value to the next, the usual one of all series; 1 where there are no times."""
    season: int
    horizon: int
    minimum: float | None


class Series(NamedTuple):
    """The series (N) of a prepared folder: their values, NaN where missing, and what is known of them."""

    values: list[np.ndarray]
    about: About


def check(settings: Prepare) -> None:
    """Refuse, before anything is read, settings that no data can satisfy."""
    check_encoding(settings.encoding)


def inputs(settings: Prepare) -> list[Source]:
    """The files that `prepare` reads, with bytes and SHA-256."""
    return hash_files(find_files(settings.files))


def prepare(settings: Prepare, seed: int, out: Path, work: Path, progress: Progress, warn: Warn) -> Json:
    """Write the prepared data into the folder `out`; returns what meta.json holds. Raises ConfigError, InputError."""
    check(settings)
    paths = find_files(settings.files)
    found = [trimmed(history) for history in read_files(paths, settings, progress, warn)]
    steps = Counter(history.step for history in found)
    step = steps.most_common(1)[0][0]
    if len(steps) > 1:
        odd = next(history.name for history in found if history.step != step)
        warn(
            f"{len(found) - steps[step]:,} of {len(found):,} series, such as '{odd}', have another step than "
            f"{series_times.name_of(step)}; all are taken value by value"
        )
    season = settings.season or series_times.season_of(step)
    horizon = settings.horizon or (season if season > 1 else USUAL_HORIZON)
    kept = long_enough(found, season, horizon, settings.split, warn)
    ends = [val_from(len(history.values), horizon, settings.split) for history in kept]
    minimum = _minimum([history.values[:end] for history, end in zip(kept, ends, strict=True)], settings)
    timed = any(abs(history.start) > MERE_COUNT for history in kept)
    begins = [history.start if timed else None for history in kept]
    about = About([history.name for history in kept], begins, step, season, horizon, minimum)
    _write(out, [history.values for history in kept], about)
    meta = {
        "series": len(kept),
        "values": sum(len(history.values) for history in kept),
        "missing": int(sum(np.isnan(history.values).sum() for history in kept)),
        "step": series_times.name_of(step) if timed else "row",
        "season": season,
        "horizon": horizon,
        "minimum": minimum,
        "splits": _splits([len(history.values) for history in kept], horizon, settings.split),
        "sources": hash_files(paths),
    }
    prepared_folder.write_meta(out, meta)
    return meta


def read(prepared: Files) -> Series:
    """The series of a prepared folder."""
    about = prepared.read_as(ABOUT, About)
    values, starts = prepared.array("values.npy"), prepared.array("starts.npy")
    if len(starts) != len(about.names) + 1:
        raise prepared.damaged(ABOUT, f"it names {len(about.names)} series, and there are {len(starts) - 1}")
    return Series([values[starts[k] : starts[k + 1]] for k in range(len(about.names))], about)


def read_files(paths: list[Path], settings: Prepare, progress: Progress, warn: Warn) -> list[History]:
    """The series in files of rows. Raises InputError."""
    how = {"format": settings.format, "encoding": settings.encoding, "delimiter": settings.delimiter}
    rows, places = all_rows(paths, progress, **how)
    return histories.of_rows(rows, places, columns(settings), warn)


def columns(settings: Prepare) -> Columns:
    """What the settings say of the columns."""
    return Columns(settings.time, settings.value, settings.series, settings.step == "row", settings.gaps)


def trimmed(history: History) -> History:
    """A series without the missing values at its beginning and end. Raises InputError where nothing is left."""
    there = np.flatnonzero(np.isfinite(history.values))
    if not len(there):
        raise InputError(f"the series '{history.name}' has no value at all; leave it out")
    first, last = there[0], there[-1] + 1
    start = history.start + float(first) * history.step if history.start else history.start
    return History(history.name, start, history.step, history.values[first:last])


def long_enough(found: list[History], season: int, horizon: int, split: Split, warn: Warn) -> list[History]:
    """The series that leave a season and a horizon to train on. Raises InputError where none does."""
    needed = season + horizon * (1 + split.val + split.test)
    kept = [history for history in found if len(history.values) >= needed]
    short = [history for history in found if len(history.values) < needed]
    if not kept:
        longest = max(found, key=lambda history: len(history.values))
        raise InputError(
            f"no series is long enough: the longest, '{longest.name}', has {len(longest.values):,} values, and "
            f"{needed:,} are needed (a season of {season} and {1 + split.val + split.test} horizons of {horizon}); "
            "lower prepare.horizon, prepare.season or prepare.split"
        )
    if short:
        names = ", ".join(f"'{history.name}'" for history in short[:SHOWN]) + (", …" if len(short) > SHOWN else "")
        warn(f"{len(short):,} of {len(found):,} series have fewer than {needed:,} values and are left out: {names}")
    if flat := [history.name for history in kept if np.nanmin(history.values) == np.nanmax(history.values)]:
        warn(f"{len(flat):,} series never change, such as '{flat[0]}': there is nothing to learn of them")
    return kept


def val_from(length: int, horizon: int, split: Split) -> int:
    """Where validation begins in a series of so many values."""
    return length - horizon * (split.val + split.test)


def test_from(length: int, horizon: int, split: Split) -> int:
    """Where the test begins."""
    return length - horizon * split.test


def _minimum(trained: list[np.ndarray], settings: Prepare) -> float | None:
    if settings.minimum == "none":
        return None
    smallest = min(float(np.nanmin(values)) for values in trained)
    if settings.minimum == "auto":
        return 0.0 if smallest >= 0 else None
    if smallest < settings.minimum:
        raise ConfigError(
            f"prepare.minimum is {settings.minimum:g}, and there are values down to {smallest:g}; lower it"
        )
    return float(settings.minimum)


def _splits(lengths: list[int], horizon: int, split: Split) -> Json:
    first = sum(val_from(length, horizon, split) for length in lengths)
    counts = {"train": first, "val": len(lengths) * horizon * split.val}
    return counts | ({"test": len(lengths) * horizon * split.test} if split.test else {})


def _write(out: Path, values: list[np.ndarray], about: About) -> None:
    new_files.save_array(out / "values.npy", np.concatenate(values))
    new_files.save_array(out / "starts.npy", np.cumsum([0, *map(len, values)]).astype(np.int64))
    text = json.dumps(msgspec.to_builtins(about), ensure_ascii=False)
    new_files.write_text(out / ABOUT, text + "\n", errors="backslashreplace")
