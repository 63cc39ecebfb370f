"""Naive forecasts, by hand."""

import numpy as np

from llmkit.predicting.forecast_metrics import MEDIAN
from llmkit.tasks.series import baselines


def test_the_season_before_over_again():
    past = np.array([1.0, 2, 3, 2, 3, 4])  # each season one more than the one before
    found = baselines.seasonal_naive(past, 5, 3)
    assert found[:, MEDIAN].tolist() == [2, 3, 4, 2, 3]
    assert (found == found[:, :1]).all()  # every season changed by 1: the changes have no spread


def test_the_last_value_with_the_spread_of_changes_over_as_many_steps():
    past = np.array([0.0, 1, 0, 1, 0])
    found = baselines.naive(past, 2)
    assert found[:, MEDIAN].tolist() == [0, 0]
    assert found[0, 0] < -0.9 and found[0, -1] > 0.9  # one step: 1 or -1
    assert (found[1] == 0).all()  # two steps: no change


def test_a_history_that_is_short_has_no_spread():
    assert (baselines.seasonal_naive(np.array([5.0, 6.0]), 2, 2) == [[5.0], [6.0]]).all()
    assert (baselines.naive(np.array([5.0]), 2) == 5).all()
