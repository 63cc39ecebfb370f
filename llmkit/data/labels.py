"""Labels to numbers: the different ones in the order of the alphabet. Refuses what is no label of a class."""

from collections.abc import Sequence

import numpy as np

from llmkit.console.callbacks import Warn
from llmkit.data.missing import MISSING
from llmkit.errors import InputError

MOST_LABELS = 1000  # different ones that are learnt


def number_labels(labels: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """(the different labels, sorted, and the number (N,) int32 of each example's)."""
    names = sorted(set(labels))
    place = {name: number for number, name in enumerate(names)}
    return names, np.array([place[label] for label in labels], np.int32)


def number_classes(labels: Sequence[str], where: str) -> tuple[list[str], np.ndarray]:
    """`number_labels` of what a classifier learns. Raises InputError for fewer than two labels, and for so many that
    they are no classes; `where` they are is said in the message."""
    names, numbers = number_labels(labels)
    if len(names) < 2:
        found = f"all {len(labels):,} examples have the label '{names[0]}'" if names else "there is no example"
        raise InputError(f"{where}: {found}; a classifier needs examples of at least two labels")
    if len(names) > MOST_LABELS or 2 * len(names) > len(labels) >= 10:
        raise InputError(
            f"{where}: {len(names):,} different labels in {len(labels):,} examples; this task predicts classes, not "
            "numbers: name another column in prepare.label, or put its values into classes"
        )
    return names, numbers


def warn_of_missing(names: Sequence[str], warn: Warn) -> None:
    """Say which labels look like values that are not there: they are learnt as classes of their own."""
    found = [name for name in names if name in MISSING]
    if found:
        listed = ", ".join(f"'{name}'" for name in found)
        warn(
            f"the label{'s' * (len(found) > 1)} {listed} may stand for no label at all, and "
            f"{'each is' if len(found) > 1 else 'is'} learnt as a class; leave these examples out if so"
        )
