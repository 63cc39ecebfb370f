"""Which rows train, validate and test: at random by label, by groups that stay together, or by time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llmkit.console.callbacks import Warn
from llmkit.data import date_format, number_format, prepared_folder, splits
from llmkit.data.columns import Rows, as_text, missing_texts
from llmkit.data.copies import groups_of, warn_of_copies
from llmkit.data.rows import Row
from llmkit.errors import ConfigError, InputError
from llmkit.tasks.table.settings import Prepare, RowSplit

MANY_VALUES = 50  # different numbers of a column: rows that are alike in it are copies, not chance


def check(split: RowSplit) -> None:
    """Refuse more than one rule. Raises ConfigError."""
    named = [key for key in ("unique", "group", "time") if getattr(split, key)]
    if len(named) > 1:
        raise ConfigError(f"prepare.split: {' and '.join(named)} are given; one of unique, group and time decides")


def draw(
    rows: Sequence[Row],
    places: Sequence[str],
    parsed: Rows,
    labels: np.ndarray,
    settings: Prepare,
    seed: int,
    out: Path,
    warn: Warn,
) -> np.ndarray:
    """The split (N,) uint8 of each row; groups are written to groups.npy. Raises InputError."""
    split = settings.split
    if split.time:
        return splits.by_time(_times(rows, places, settings), split.val, split.test)
    copies = groups_of(
        (numbers.tobytes(), *words) for numbers, words in zip(parsed.numbers, parsed.categories.tolist(), strict=True)
    )
    groups = copies if split.unique else _groups(rows, places, settings) if split.group else None
    of = prepared_folder.draw(out, labels, groups, split.val, split.test, seed)
    if any(len(np.unique(column)) > MANY_VALUES for column in parsed.numbers.T):
        warn_of_copies(copies, of, "rows", prepared_folder.UNIQUE, warn)
    return of


def _groups(rows: Sequence[Row], places: Sequence[str], settings: Prepare) -> np.ndarray:
    """The group (N,) of each row; a row without one is a group by itself."""
    name, absent = settings.split.group, missing_texts(settings.missing)
    keys = [as_text(row.get(name), absent, place, name) for row, place in zip(rows, places, strict=True)]
    return groups_of(number if key is None else key for number, key in enumerate(keys))


def _times(rows: Sequence[Row], places: Sequence[str], settings: Prepare) -> np.ndarray:
    """The time (N,) float64 of each row. Raises InputError for one that has none."""
    name, absent = settings.split.time, missing_texts(settings.missing)
    texts = [as_text(row.get(name), absent, place, name) for row, place in zip(rows, places, strict=True)]
    for text, place in zip(texts, places, strict=True):
        if text is None:
            raise InputError(f"{place}: the column '{name}' (prepare.split.time) has no value; mend it or leave it out")
    there = list(dict.fromkeys(text for text in texts if text is not None))
    first = "" if settings.day_first is None else "day" if settings.day_first else "month"
    if numbers := number_format.find(there):
        times = {text: number_format.parse(text, numbers.format) for text in there}
    elif dates := date_format.find(there, first):
        moments = {text: date_format.parse(text, dates.format) for text in there}
        times = {text: moment.days if moment else None for text, moment in moments.items()}
    else:
        raise InputError(
            f"the column '{name}' (prepare.split.time) holds neither numbers nor dates that are all written in one "
            f"way, such as {there[0][:40]!r}"
        )
    return np.array([times[text or ""] for text in texts], np.float64)
