"""Which examples train, validate and test: stratified, so that every split has each label in its share.

In: the label numbers of all examples, the shares and a seed. Out: the split (N,) of each
example, by its number in SPLITS, or its fold. The same labels and seed give the same splits.

Left out: the files of a prepared folder (`prepared_folder.py`). Examples that are copies of each other may fall into
different splits.
"""

import numpy as np

SPLITS = ("train", "val", "test")  # of every task, in the order of their numbers


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
