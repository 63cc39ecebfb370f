"""target.py: which columns are numbers, and how they are learnt."""

import numpy as np
import pytest

from llmkit.errors import InputError
from llmkit.tasks.table import target
from llmkit.tasks.table.settings import Prepare


@pytest.mark.parametrize(
    ("values", "many"),
    [
        (["0", "1"] * 50, False),
        ([str(number % 20) for number in range(100)], False),  # 20 different ones are labels
        ([str(number % 21) for number in range(100)], True),  # 21 of 100 rows are not
        ([str(number % 26) for number in range(2000)], False),  # 26 letters of 2,000 rows are
        ([str(number % 101) for number in range(5000)], True),  # more than 100 never are
        ([f"{number % 30 / 2}" for number in range(2000)], True),  # halves: amounts
        ([str(number) for number in range(100)] + ["none"], False),
    ],
)
def test_amounts_are_told_from_labels(values, many):
    assert target.are_many_numbers(values) == many


def test_the_setting_decides_and_auto_says_what_it_found():
    said = []
    values = [str(number) for number in range(100)]
    assert target.kind(values, values, Prepare(label="age", predict="label"), said.append) == "label"
    assert target.kind(["a", "b"], ["", ""], Prepare(label="age"), said.append) == "label"
    assert not said
    assert target.kind(values, values, Prepare(label="age"), said.append) == "number"
    assert said[0].startswith("the column 'age' has 100 different numbers, so numbers are predicted")


def test_bins_are_tenths():
    assert np.bincount(target.bins(np.random.default_rng(0).permutation(200))).tolist() == [20] * 10


def test_the_logarithm_of_numbers_that_span_powers_of_ten():
    wide = np.geomspace(1, 1000, 100)
    assert target.learns_logarithm(wide, Prepare())
    assert not target.learns_logarithm(wide, Prepare(target="plain"))
    assert not target.learns_logarithm(wide - 1, Prepare())  # one is 0
    assert not target.learns_logarithm(np.arange(1.0, 100), Prepare())
    assert target.learns_logarithm(np.arange(1.0, 100), Prepare(target="log"))
    with pytest.raises(InputError, match="log needs numbers above 0, and the column 'x' has -1"):
        target.learns_logarithm(np.array([-1.0, 2.0]), Prepare(label="x", target="log"))


def test_words_among_many_numbers_are_named():
    values = [f"{number / 7:.2f}" for number in range(60)] + ["<1.0"]
    places = [f"line {number}" for number in range(1, 62)]
    with pytest.raises(InputError, match=r"line 61, column 'x': '<1.0' is no number, but most values are \(1 of 61"):
        target.kind(values, places, Prepare(label="x"), pytest.fail)
    assert target.kind(values, places, Prepare(label="x", predict="label"), pytest.fail) == "label"
