"""Copies among examples: those that stand in training and in what it is judged by make figures too good.

In: for each example something that copies have alike (its text, its pixels, its row), or the number of its group, and
the splits. Out: group numbers, and a word to the user where copies lie in several splits.
"""

from collections.abc import Hashable, Iterable

import numpy as np

from llmkit.console.callbacks import Warn


def groups_of(keys: Iterable[Hashable]) -> np.ndarray:
    """The number (N,) int64 of each example's group: examples with one key are one group, numbered as they come."""
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(key, len(number)) for key in keys], np.int64)


def across(groups: np.ndarray, of: np.ndarray) -> tuple[int, int]:
    """(how many examples outside training have a copy in it, how many there are outside), by groups and splits (N,)."""
    outside = of != 0
    trained = np.zeros(int(groups.max(initial=-1)) + 1, bool)
    trained[groups[of == 0]] = True
    return int(trained[groups[outside]].sum()), int(outside.sum())


def warn_of_copies(groups: np.ndarray, of: np.ndarray, what: str, advice: str, warn: Warn) -> None:
    """Say how many examples (`what` they are: texts, rows, …) that validate or test have a copy in training."""
    copied, outside = across(groups, of)
    if copied:
        warn(
            f"{copied:,} of the {outside:,} {what} that validate and test are copies of training {what}, so the "
            f"figures are too good; {advice}"
        )
