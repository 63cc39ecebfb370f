"""numbers.json: scales there and back, what is fitted, the file."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmkit.errors import InputError
from llmkit.predicting import numbers
from llmkit.predicting.intervals import Scores
from llmkit.predicting.numbers import Numbering, Scale
from llmkit.store.files import Files

ABOUT = Numbering("price", "squared", 0.5, Scale(10.0, 2.0), Scores([], 0))


def test_a_scale_by_hand():
    assert numbers.learn_scale(np.array([1.0, 3.0]), log=False) == Scale(2.0, 1.0)
    assert numbers.learn_scale(np.array([1.0, math.e**2]), log=True) == Scale(1.0, 1.0, True)
    assert Scale(10.0, 2.0).to_z(np.array([14.0])).tolist() == [2.0]
    with pytest.raises(InputError, match="all 3 training examples have the number 5: there is nothing to learn"):
        numbers.learn_scale(np.full(3, 5.0), log=False)


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=20, unique=True), st.booleans())
def test_numbers_go_to_z_and_back(values, log):
    given_numbers = np.array(values)
    scale = numbers.learn_scale(given_numbers, log)
    np.testing.assert_allclose(scale.from_z(scale.to_z(given_numbers)), given_numbers, rtol=1e-6, atol=1e-9)


def test_a_number_beyond_all_bounds_is_the_largest():
    assert Scale(0.0, 1.0, log=True).from_z(np.array([1e6])).tolist() == [np.finfo(np.float64).max]


def test_losses_by_hand():
    z, truths = np.array([0.0, 1.0]), np.array([2.0, 0.0])
    assert numbers.loss(z, truths, "squared", 0.5) == 2.5
    assert numbers.loss(z, truths, "absolute", 0.5) == 1.5
    assert numbers.loss(z, truths, "quantile", 0.9) == pytest.approx((0.9 * 2 + 0.1 * 1) / 2)


def test_spreads_are_softplus():
    below, above = numbers.spreads(np.array([[5.0, 0.0, math.log(math.e - 1)]], np.float32))
    assert below.tolist() == [pytest.approx(math.log(2))]
    assert above.tolist() == [pytest.approx(1.0, rel=1e-6)]


def test_what_is_fitted_to_validation_examples():
    """z of 0 and 1 stand for 10 and 12; truths are 1 and 3 deviations above, each spread is log 2."""
    outputs = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], np.float32)
    found = numbers.fit(ABOUT, outputs, np.array([12.0, 18.0]))
    assert found.scores.values == pytest.approx([1 / math.log(2), 3 / math.log(2)], rel=1e-5)
    assert found.factor == 1.0
    assert found.predictions(outputs).tolist() == [10.0, 12.0]


def test_a_mean_learnt_as_a_logarithm_is_made_as_large_as_the_truths():
    about = Numbering("price", "squared", 0.5, Scale(0.0, 1.0, log=True), Scores([], 0))
    outputs, truths = np.zeros((2, 3), np.float32), np.array([1.0, 4.0])
    found = numbers.fit(about, outputs, truths)
    assert found.factor == 2.5  # exp 0 is 1, the truths' mean 2.5
    assert found.predictions(outputs).tolist() == [2.5, 2.5]
    median = numbers.fit(Numbering("price", "absolute", 0.5, about.scale, about.scores), outputs, truths)
    assert median.factor == 1.0


def test_the_file_holds_all_of_it(tmp_path):
    about = Numbering("Höhe", "quantile", 0.9, Scale(1.5, 0.1, True), Scores([0.5, 1.0], 2), 1.25)
    (tmp_path / numbers.NUMBERS).write_bytes(about.to_bytes())
    assert numbers.read(Files(tmp_path)) == about
