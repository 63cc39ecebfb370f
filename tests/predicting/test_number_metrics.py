"""Metrics of numbers against hand-computed values."""

import numpy as np
import pytest

from llmkit.predicting import number_metrics

TRUTHS = np.array([1.0, 2.0, 3.0, 6.0])
PREDICTIONS = np.array([1.0, 3.0, 3.0, 4.0])


def test_of_four_numbers_by_hand():
    lower, upper = PREDICTIONS - 1, PREDICTIONS + 0.5
    found = number_metrics.of_numbers(TRUTHS, PREDICTIONS, lower, upper, 0.8)
    assert found == {
        "rmse": pytest.approx(1.25**0.5),  # off by 0, 1, 0, 2
        "mae": 0.75,
        "r2": pytest.approx(1 - 1.25 / 3.5),  # truths are 2, 1, 0, 3 off their mean
        "median_absolute_error": 0.5,
        "coverage": 0.75,  # 6 is above 4.5; 2 is the lower end itself
        "interval_width": 1.5,
        "interval": 0.8,
        # Too low by 1, 0, 1, 3 at 0.1; at 0.9 too high by 0.5, 1.5, 0.5 and too low by 1.5.
        "pinball_loss": pytest.approx(((0.1 + 0.0 + 0.1 + 0.3) / 4 + (0.05 + 0.15 + 0.05 + 1.35) / 4) / 2),
        "examples": 4,
    }


def test_there_is_no_r2_of_numbers_that_are_all_the_same():
    assert number_metrics.of_predictions(np.ones(3), np.zeros(3))["r2"] is None


def test_the_quantile_is_where_the_pinball_loss_is_least():
    truths = np.arange(101.0)
    losses = [number_metrics.pinball(truths, np.full(101, place), 0.3).mean() for place in range(101)]
    assert np.argmin(losses) == 30
