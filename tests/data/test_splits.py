"""Splits and folds: every example once, labels in their shares, groups whole, times in order, the same for a seed."""

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from llmkit.data import splits
from llmkit.errors import InputError

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


# --- groups ---

GROUPS = st.lists(st.integers(0, 12), min_size=3, max_size=150).map(np.array)
SHARES = st.tuples(st.floats(0.02, 0.45), st.one_of(st.just(0.0), st.floats(0.02, 0.45)))


def parts_of_groups(groups, of):
    """The different splits or folds that each group is in."""
    return [set(of[groups == group]) for group in np.unique(groups)]


@given(GROUPS, SHARES, st.integers(0, 5))
def test_every_group_is_in_one_split_near_its_share(groups, shares, seed):
    val, test = shares
    wanted = {1: val, 2: test} if test else {1: val}
    sizes = np.unique(groups, return_counts=True)[1]
    assume(len(sizes) > len(wanted))
    of = splits.grouped(groups, val, test, seed)
    assert all(len(parts) == 1 for parts in parts_of_groups(groups, of))
    assert set(of) == {0, *wanted}
    if (1 - val - test) * len(groups) >= sizes.max():
        for part, share in wanted.items():
            assert abs((of == part).sum() - share * len(groups)) <= sizes.max() + 1e-9
    assert (splits.grouped(groups, val, test, seed) == of).all()
    names = np.array([f"person {group}" for group in groups])
    assert (splits.grouped(names, val, test, seed) == of).all()  # what groups are called does not matter
    assert (splits.grouped(np.stack([groups, -groups], 1), val, test, seed) == of).all()


def test_groups_are_drawn_by_the_seed():
    groups = np.arange(100) // 5
    chosen = {tuple(splits.grouped(groups, 0.1, 0.2, seed).tolist()) for seed in range(5)}
    assert len(chosen) == 5
    for of in chosen:
        assert np.bincount(of).tolist() == [70, 10, 20]  # 2 and 4 of 20 groups of equal size


def test_sizes_are_what_shares_are_of():
    # A text of 90 characters and ten of 1: one tenth of the characters are the ten, in either split or in training.
    sizes = np.array([90] + [1] * 10)
    of = splits.grouped(np.arange(11), 0.05, 0.05, 3, sizes)
    assert of[0] == 0 and np.bincount(of).tolist() == [1, 5, 5]


@pytest.mark.parametrize(("test", "needed"), [(0.0, 2), (0.2, 3)])
def test_fewer_groups_than_splits_are_refused(test, needed):
    with pytest.raises(InputError, match=rf"by groups needs at least {needed} different groups, found {needed - 1};"):
        splits.grouped(np.arange(10) % (needed - 1), 0.1, test, 1)
    assert len(set(splits.grouped(np.arange(needed), 0.1, test, 1))) == needed


@given(GROUPS, st.integers(2, 5), st.integers(0, 5))
def test_every_group_is_in_one_fold_and_folds_differ_by_a_group_at_most(groups, count, seed):
    sizes = np.unique(groups, return_counts=True)[1]
    if len(sizes) < count:
        with pytest.raises(InputError, match=f"{count} folds need as many groups, and there are {len(sizes)}"):
            splits.grouped_folds(groups, count, seed)
        return
    fold = splits.grouped_folds(groups, count, seed)
    assert all(len(parts) == 1 for parts in parts_of_groups(groups, fold))
    filled = np.bincount(fold, minlength=count)
    assert filled.min() > 0 and filled.max() - filled.min() <= sizes.max()
    assert (splits.grouped_folds(groups, count, seed) == fold).all()


def test_the_largest_groups_are_put_into_folds_first():
    fold = splits.grouped_folds(np.repeat([0, 1, 2, 3], [1, 4, 2, 3]), 2, 1)
    assert fold[1] == fold[0] != fold[5] == fold[7]  # 4 + 1 and 3 + 2
    equal = np.arange(40) // 4
    drawn = {tuple(splits.grouped_folds(equal, 5, seed).tolist()) for seed in range(5)}
    assert len(drawn) == 5 and all(np.bincount(fold).tolist() == [8] * 5 for fold in drawn)


def test_every_group_is_tested_in_exactly_one_fold():
    groups = np.random.default_rng(0).integers(0, 20, 97)
    parts = [splits.grouped_fold_split(groups, number, 5, 0.1, 7) for number in range(1, 6)]
    assert (np.sum([of == 2 for of in parts], axis=0) == 1).all()
    for of in parts:
        assert all(len(found) == 1 for found in parts_of_groups(groups, of)) and set(of) == {0, 1, 2}


def test_groups_are_numbered_in_the_order_of_their_first_examples():
    first, number = splits.number_groups(np.array(["z", "b", "z", "a"]))
    assert first.tolist() == [0, 1, 3] and number.tolist() == [0, 1, 0, 2]
    first, number = splits.number_groups(np.array([[2, 1], [0, 9], [2, 1]]))
    assert first.tolist() == [0, 1] and number.tolist() == [0, 1, 0]


# --- time ---


@given(st.lists(st.integers(0, 40), min_size=3, max_size=150).map(np.array), SHARES)
def test_no_example_is_later_than_one_of_the_next_split(times, shares):
    val, test = shares
    _, sizes = np.unique(times, return_counts=True)
    last = 2 if test else 1
    assume(len(sizes) > last)
    of = splits.by_time(times, val, test)
    for part in range(last):
        assert times[of == part].max() < times[of == part + 1].min()
    assert set(of) == set(range(last + 1))
    assert abs((of == 0).sum() - (1 - val - test) * len(times)) <= 2 * sizes.max()
    assert abs((of == 2).sum() - test * len(times)) <= 2 * sizes.max()
    order = np.random.default_rng(0).permutation(len(times))
    assert (splits.by_time(times[order], val, test) == of[order]).all()  # the order of the rows does not matter


def test_the_earliest_train_and_the_latest_test():
    days = np.array(["2024-03-01", "2024-01-05", "2024-02-09", "2023-12-31", "2024-03-02"] * 2, "datetime64[D]")
    days[5:] += np.timedelta64(365, "D")
    expected = [0, 0, 0, 0, 0, 1, 0, 0, 0, 2]  # 2 of 10 are held out: the second latest and the latest
    assert splits.by_time(days, 0.1, 0.1).tolist() == expected
    assert splits.by_time(days.astype(str), 0.1, 0.1).tolist() == expected  # ISO dates as text sort alike
    assert splits.by_time(days, 0.2, 0.0).tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 1]


def test_examples_of_one_time_stay_together():
    times = np.array([1, 1, 2, 2, 2, 2, 2, 2, 3, 3])
    assert splits.by_time(times, 0.3, 0.2).tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 2, 2]
    assert splits.by_time(times, 0.3, 0.0).tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]  # 8 is nearer to 7 than 2 is


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (np.array([1.0, np.nan, 3.0]), "example 2 has no time to split by"),
        (np.array(["2024-01-01", "2024-01-02", "NaT"], "datetime64[D]"), "example 3 has no time to split by"),
        (np.array([4, 4, 5, 5]), "by time needs at least 3 different times, found 2"),
    ],
)
def test_times_that_cannot_be_split_by_are_refused(times, message):
    with pytest.raises(InputError, match=message):
        splits.by_time(times, 0.1, 0.1)
