"""Splits and folds: every example once, every label in its share, the same again with the same seed."""

import numpy as np
from hypothesis import given, strategies as st

from llmkit.data import splits

LABELS = st.lists(st.integers(0, 3), min_size=12, max_size=200).map(np.array)


@given(LABELS, st.integers(2, 6), st.integers(0, 5))
def test_folds_hold_each_label_in_its_share(labels, count, seed):
    fold = splits.folds(labels, count, seed)
    sizes = np.bincount(fold, minlength=count)
    assert sizes.sum() == len(labels) and sizes.max() - sizes.min() <= 1
    for label in np.unique(labels):
        sizes = np.bincount(fold[labels == label], minlength=count)
        assert sizes.max() - sizes.min() <= 1


@given(LABELS, st.floats(0.05, 0.4), st.floats(0, 0.4), st.integers(0, 5))
def test_a_split_has_its_shares_and_trains_on_every_label(labels, val, test, seed):
    of = splits.stratified(labels, val, test, seed)
    assert set(labels[of == 0]) == set(labels)
    moved = len(np.unique(labels))  # at most one of each label goes back to training
    assert abs((of == 1).sum() - val * len(labels)) <= 1 + moved
    assert abs((of == 2).sum() - test * len(labels)) <= 1 + moved
    assert (splits.stratified(labels, val, test, seed) == of).all()


def test_each_label_has_its_share_of_a_split():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    of = splits.stratified(labels, 0.1, 0.2, 1)
    assert [np.bincount(labels[of == part]).tolist() for part in (1, 2)] == [[60, 30, 10], [120, 60, 20]]


def test_every_example_is_tested_in_exactly_one_fold():
    labels = np.random.default_rng(0).integers(0, 3, 97)
    parts = [splits.fold_split(labels, number, 5, 0.1, 7) for number in range(1, 6)]
    assert (np.sum([of == 2 for of in parts], axis=0) == 1).all()
    assert all((of == 1).any() and (of == 0).any() for of in parts)
    assert ((splits.folds(labels, 5, 7) == 2) == (parts[2] == 2)).all()  # what benchmarks compare on
