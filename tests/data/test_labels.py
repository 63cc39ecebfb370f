"""Labels: their numbers, and what is no label of a class."""

import pytest

from llmkit.data.labels import number_classes, number_labels, warn_of_missing
from llmkit.data.missing import MISSING
from llmkit.errors import InputError


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 5, "rows.csv: all 5 examples have the label 'a'; a classifier needs"),
        ([str(number) for number in range(30)], "30 different labels in 30 examples; this task predicts classes"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        number_classes(labels, "rows.csv")


def test_labels_are_numbered_in_the_order_of_the_alphabet():
    names, numbers = number_classes(["b", "a", "b"], "x")
    assert names == ["a", "b"] and numbers.tolist() == [1, 0, 1]
    assert number_labels(["z", "z"])[0] == ["z"] and number_labels([])[1].tolist() == []


def test_labels_that_may_stand_for_no_label_are_named():
    said = []
    warn_of_missing(["NULL", "n/a", "none", "pos"], said.append)
    warn_of_missing(["neg", "pos"], said.append)
    assert not {"none", "None"} & set(MISSING)
    assert len(said) == 1 and said[0].startswith("the labels 'NULL', 'n/a' may stand for no label at all, and each is")
