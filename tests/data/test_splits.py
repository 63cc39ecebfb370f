"""Splits and folds: every example once, every label in its share, the same again with the same seed."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

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
    of = splits.split(labels, val, test, seed)
    assert set(labels[of == 0]) == set(labels)
    moved = len(np.unique(labels))  # at most one of each label goes back to training
    assert abs((of == 1).sum() - val * len(labels)) <= 1 + moved
    assert abs((of == 2).sum() - test * len(labels)) <= 1 + moved
    assert (splits.split(labels, val, test, seed) == of).all()


def test_each_label_has_its_share_of_a_split():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    of = splits.split(labels, 0.1, 0.2, 1)
    assert [np.bincount(labels[of == part]).tolist() for part in (1, 2)] == [[60, 30, 10], [120, 60, 20]]


def test_every_example_is_tested_in_exactly_one_fold():
    labels = np.random.default_rng(0).integers(0, 3, 97)
    parts = [splits.fold_split(labels, number, 5, 0.1, 7) for number in range(1, 6)]
    assert (np.sum([of == 2 for of in parts], axis=0) == 1).all()
    assert all((of == 1).any() and (of == 0).any() for of in parts)
    assert ((splits.folds(labels, 5, 7) == 2) == (parts[2] == 2)).all()  # what benchmarks compare on


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 5, "rows.csv: all 5 examples have the label 'a'; a classifier needs"),
        ([str(number) for number in range(30)], "30 different labels in 30 examples; this task predicts classes"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        splits.number_labels(labels, "rows.csv")


def test_labels_are_numbered_in_the_order_of_the_alphabet():
    names, numbers = splits.number_labels(["b", "a", "b"], "x")
    assert names == ["a", "b"] and numbers.tolist() == [1, 0, 1]


def test_labels_that_a_split_lacks_are_named(tmp_path):
    labels = np.array([0] * 20 + [1] * 20 + [2])
    of = splits.split(labels, 0.1, 0.2, 1)
    said: list[str] = []
    splits.warn_of_rare(splits.write(tmp_path, ["a", "b", "c"], labels, of, splits.Split()), said.append)
    assert said == ["some split has no example of the label 'c': figures say nothing of it; add examples"]


def test_more_folds_than_examples_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    np.save(tmp_path / "in" / "labels.npy", np.array([0, 1, 0, 1]))
    with pytest.raises(InputError, match=r"train\.folds: 5 folds need as many examples, and there are 4"):
        splits.copy_for_fold(tmp_path / "in", tmp_path / "out", 1, 5, splits.Split(), 1)


def test_too_few_examples_name_the_empty_split(tmp_path):
    labels = np.array([0, 1, 0, 1])
    of = splits.split(labels, 0.1, 0.2, 1)
    with pytest.raises(InputError, match="the val split is empty: 4 examples are too few"):
        splits.write(tmp_path, ["a", "b"], labels, of, splits.Split())
