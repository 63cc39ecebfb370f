"""Copies among examples, counted by hand."""

import numpy as np

from llmkit.data import copies


def test_groups_number_on_as_they_come():
    assert copies.groups_of(["b", "a", "b", 3]).tolist() == [0, 1, 0, 2]
    assert copies.groups_of([]).tolist() == []


def test_those_outside_training_that_have_a_copy_in_it():
    groups, of = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 1, 2, 1])
    assert copies.across(groups, of) == (2, 5)  # the two of group 0; both of group 1 lie outside
    said = []
    copies.warn_of_copies(groups, of, "texts", "mend it", said.append)
    assert said == [
        "2 of the 5 texts that validate and test are copies of training texts, so the figures are too good; mend it"
    ]
    copies.warn_of_copies(np.arange(6), of, "texts", "mend it", said.append)
    assert len(said) == 1
