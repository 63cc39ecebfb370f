"""The common files of a prepared folder: what is written, read and copied for a fold, and shares that are refused."""

import numpy as np
import pytest

from llmkit.data import prepared_folder, splits
from llmkit.errors import ConfigError, InputError
from llmkit.store.files import Files


@pytest.mark.parametrize(
    ("val", "test", "message"),
    [
        (0, 0.2, r"prepare\.split\.val must be above 0: training is steered by validation; try 0\.05"),
        (0.5, 0.5, r"prepare\.split: val 0\.5 and test 0\.5 leave nothing to train on; lower them"),
    ],
)
def test_shares_that_leave_nothing_are_refused(val, test, message):
    with pytest.raises(ConfigError, match=message):
        prepared_folder.check_split(val, test, usual_val=0.05)
    prepared_folder.check_split(0.5, 0.4, usual_val=0.05)


def test_what_is_written_is_read_again(tmp_path):
    labels, of = np.array([1, 0, 1, 1]), np.array([0, 0, 1, 0], np.uint8)
    summary = prepared_folder.write(tmp_path, ["a", "b"], labels, of, 0.25, 0.0)
    assert summary == {
        "examples": 4,
        "labels": ["a", "b"],
        "splits": {"train": {"examples": 3, "a": 1, "b": 2}, "val": {"examples": 1, "a": 0, "b": 1}},
    }
    prepared_folder.write_meta(tmp_path, summary)
    assert prepared_folder.read_meta(Files(tmp_path)) == summary
    assert np.load(tmp_path / "labels.npy").tolist() == [1, 0, 1, 1]
    examples, name = prepared_folder.examples_of(Files(tmp_path), "train")
    assert (examples.tolist(), name) == ([0, 1, 3], "train")
    examples, name = prepared_folder.examples_of(Files(tmp_path), "test")  # there is none
    assert (examples.tolist(), name) == ([2], "val")


def test_the_folder_of_a_fold_has_another_split_and_no_manifest(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    labels = np.arange(30) % 2
    prepared_folder.write(tmp_path / "in", ["a", "b"], labels, splits.stratified(labels, 0.1, 0.2, 1), 0.1, 0.2)
    (tmp_path / "in" / "manifest.json").write_text("{}")
    of = prepared_folder.copy_for_fold(Files(tmp_path / "in"), tmp_path / "out", 2, 3, 0.1, 5)
    assert (of == splits.fold_split(labels, 2, 3, 0.1, 5)).all()
    assert (np.load(tmp_path / "out" / "split.npy") == of).all()
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["labels.npy", "split.npy"]


def test_labels_that_a_split_lacks_are_named(tmp_path):
    labels = np.array([0] * 20 + [1] * 20 + [2])
    of = splits.stratified(labels, 0.1, 0.2, 1)
    said: list[str] = []
    prepared_folder.warn_of_rare(prepared_folder.write(tmp_path, ["a", "b", "c"], labels, of, 0.1, 0.2), said.append)
    assert said == ["some split has no example of the label 'c': figures say nothing of it; add examples"]


def test_more_folds_than_examples_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    np.save(tmp_path / "in" / "labels.npy", np.array([0, 1, 0, 1]))
    with pytest.raises(InputError, match=r"train\.folds: 5 folds need as many examples, and there are 4"):
        prepared_folder.copy_for_fold(Files(tmp_path / "in"), tmp_path / "out", 1, 5, 0.1, 1)


def test_too_few_examples_name_the_empty_split(tmp_path):
    labels = np.array([0, 1, 0, 1])
    of = splits.stratified(labels, 0.1, 0.2, 1)
    with pytest.raises(InputError, match="the val split is empty: 4 examples are too few"):
        prepared_folder.write(tmp_path, ["a", "b"], labels, of, 0.1, 0.2)
