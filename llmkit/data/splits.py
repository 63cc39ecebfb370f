"""Which examples train, validate and test: drawn at random, by groups that stay together, or by time.

In: what is known of each example (its label, its group, its time), the shares and a seed. Out: the split (N,) of each
example, by its number in SPLITS, or its fold. The same values and seed give the same splits.

    stratified   at random, every split with each label in its share; with one label for all, plainly at random
    grouped      whole groups at random, such as all examples of one person or all copies of one text
    by_time      the earliest train, the next validate, the latest test

Left out: the files of a prepared folder (`prepared_folder.py`). Examples that are copies of each other may fall into
different splits, unless they are one group.
"""

import heapq

import numpy as np

from llmkit.errors import InputError

SPLITS = ("train", "val", "test")  # of every task, in the order of their numbers


# --- at random, each label in its share ---------------------------------------------------------------------------


def stratified(labels: np.ndarray, val: float, test: float, seed: int) -> np.ndarray:
    """The split (N,) uint8 of each example, by its label (N,); every label has an example to train on."""
    of = np.zeros(len(labels), np.uint8)
    order = _by_label(labels, seed)
    tested = _every(len(order), test)
    of[order[tested]] = 2
    rest = order[~tested]
    of[rest[_every(len(rest), val / (1 - test))]] = 1
    return _each_label_trains(of, labels)


def folds(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The fold (N,), from 0, of each example; sizes, and those of each label, differ by one at most."""
    fold = np.empty(len(labels), np.int64)
    fold[_by_label(labels, seed)] = np.arange(len(labels)) % count
    return fold


def fold_split(labels: np.ndarray, number: int, count: int, val: float, seed: int) -> np.ndarray:
    """The split (N,) uint8 of fold `number`, from 1: the fold is the test split, `val` of the rest validates."""
    of = np.full(len(labels), 2, np.uint8)
    rest = np.flatnonzero(folds(labels, count, seed) != number - 1)
    of[rest] = stratified(labels[rest], val, 0.0, seed + number)
    return of


def _by_label(labels: np.ndarray, seed: int) -> np.ndarray:
    """The examples (N,) in random order, but those of a label together."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return order[np.argsort(labels[order], kind="stable")]


def _every(count: int, share: float) -> np.ndarray:
    """(count,) bool: an evenly spaced share of true ones."""
    steps = np.floor(np.arange(count + 1) * share + 0.5)
    return np.diff(steps) > 0


def _each_label_trains(of: np.ndarray, labels: np.ndarray) -> np.ndarray:
    for label in np.setdiff1d(labels, labels[of == 0]):
        of[np.flatnonzero(labels == label)[0]] = 0
    return of


# --- by groups ----------------------------------------------------------------------------------------------------


def grouped(groups: np.ndarray, val: float, test: float, seed: int, sizes: np.ndarray | None = None) -> np.ndarray:
    """The split (N,) uint8 of each example, by its group (N, …), any numbers or text: no group is in two splits.

    Groups are drawn in random order as long as one brings its split nearer to its share of the examples or, given
    `sizes` (N,) int64 above 0, of their sum. Validation and test then miss their shares by the largest group at most,
    where the training share is as large as that; no split is empty. `val` is above 0, and there is no test split where
    `test` is 0. Raises InputError where there are fewer groups than splits.
    """
    first, number = number_groups(groups)
    size = np.bincount(number, weights=sizes).astype(np.int64)
    shares = {1: val, 2: test} if test else {1: val}
    if len(first) <= len(shares):
        raise InputError(
            f"splitting by groups needs at least {len(shares) + 1} different groups, found {len(first)}; add examples "
            "of other groups or split in another way"
        )
    order = np.random.default_rng(seed).permutation(len(first)).tolist()
    of = np.zeros(len(first), np.uint8)
    total = int(size.sum())
    for i, share in shares.items():
        needed = len(shares) - i + 1  # groups for the splits that are still to come, training included
        wanted, have = share * total, 0
        rest: list[int] = []
        for place, group in enumerate(order):
            if have >= wanted or len(rest) + len(order) - place <= needed:
                rest += order[place:]
                break
            if have + size[group] / 2 <= wanted:
                of[group] = i
                have += int(size[group])
            else:
                rest.append(group)
        if not have:
            smallest = min(rest, key=lambda group: size[group])
            of[smallest] = i
            rest.remove(smallest)
        order = rest
    return of[number]


def grouped_folds(groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The fold (N,), from 0, of each example, by its group (N, …): no group is in two folds.

    The largest group comes first, equal ones in random order, and each goes to the fold that is smallest so far
    (Graham 1969, longest processing time first): sizes differ by the largest group at most. Raises InputError where
    there are fewer groups than folds.
    """
    first, number = number_groups(groups)
    if len(first) < count:
        raise InputError(f"{count} folds need as many groups, and there are {len(first)}; take fewer folds")
    size = np.bincount(number)
    order = np.random.default_rng(seed).permutation(len(first))
    fold = np.empty(len(first), np.int64)
    smallest = [(0, place) for place in range(count)]
    for group in order[np.argsort(-size[order], kind="stable")].tolist():
        filled, place = heapq.heappop(smallest)
        fold[group] = place
        heapq.heappush(smallest, (filled + int(size[group]), place))
    return fold[number]


def grouped_fold_split(groups: np.ndarray, number: int, count: int, val: float, seed: int) -> np.ndarray:
    """The split (N,) uint8 of fold `number`, from 1, no group being in two splits: the fold is the test split, about
    `val` of the rest validates. Raises InputError where there are too few groups."""
    of = np.full(len(groups), 2, np.uint8)
    rest = np.flatnonzero(grouped_folds(groups, count, seed) != number - 1)
    of[rest] = grouped(groups[rest], val, 0.0, seed + number)
    return of


def number_groups(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the first example (G,) of each group, the number (N,) of each example's), by the group (N, …) of each example.

    Groups are numbered in the order of their first examples.
    """
    axis = 0 if groups.ndim > 1 else None
    _, first, number = np.unique(groups, axis=axis, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[number.reshape(-1)]


# --- by time ------------------------------------------------------------------------------------------------------


def by_time(times: np.ndarray, val: float, test: float) -> np.ndarray:
    """The split (N,) uint8 of each example, by its time (N,), anything that can be sorted: every training example is
    earlier than any validation example, and these than any test example.

    A cut lies where the time changes, at the change nearest to the share, and no split is empty. `val` is above 0, and
    there is no test split where `test` is 0. Raises InputError for an example without a time (NaN, NaT) and where there
    are fewer different times than splits.
    """
    missing = np.flatnonzero(times != times)
    if len(missing):
        raise InputError(f"example {missing[0] + 1} has no time to split by; give it one or leave it out")
    _, number, counts = np.unique(times, return_inverse=True, return_counts=True)
    splits = 3 if test else 2
    if len(counts) < splits:
        raise InputError(
            f"splitting by time needs at least {splits} different times, found {len(counts)}; add examples of other "
            "times or split in another way"
        )
    earlier = np.concatenate([[0], np.cumsum(counts)])  # (times + 1,): examples before each change of time
    last = len(counts)
    tested = int(np.clip(_nearest(earlier, 1 - test), 2, last - 1)) if test else last
    validated = int(np.clip(_nearest(earlier, 1 - val - test), 1, tested - 1))
    return np.searchsorted([validated, tested], number.reshape(-1), side="right").astype(np.uint8)


def _nearest(cuts: np.ndarray, share: float) -> int:
    """The place of the cut that is nearest to a share of all examples, which the last cut counts."""
    return int(np.abs(cuts - share * cuts[-1]).argmin())
