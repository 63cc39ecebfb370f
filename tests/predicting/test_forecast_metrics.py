"""Metrics of forecasts against values computed by hand."""

import numpy as np
import pytest

from llmkit.predicting.forecast_metrics import LEVELS, Truth, of_quantiles, seasonal_scale, weighted_quantile_loss


def same(value: float) -> list[float]:
    """All quantiles at one value."""
    return [value] * len(LEVELS)


def test_the_scale_is_the_mean_seasonal_difference():
    values = np.array([1.0, 5.0, 2.0, 9.0])
    assert seasonal_scale(values, 2) == pytest.approx((1 + 4) / 2)
    assert seasonal_scale(np.array([1.0, 3.0, 1.0, 3.0]), 2) == 2.0  # of no seasonal difference: the step before
    assert seasonal_scale(np.array([4.0, 4.0, 4.0]), 1) == 4.0
    assert seasonal_scale(np.zeros(5), 2) == 1.0


def test_figures_by_hand():
    truth = Truth(np.array([[10.0, 20.0]]), np.array([0]), np.array([4.0]))
    found = of_quantiles(truth, np.array([[same(12.0), same(16.0)]]))
    assert found["mae"] == pytest.approx(3.0)  # (2 + 4) / 2
    assert found["rmse"] == pytest.approx(10**0.5)  # (4 + 16) / 2
    assert found["mase"] == pytest.approx(0.75)
    assert found["smape"] == pytest.approx(100 * (2 / 11 + 4 / 18) / 2)
    assert found["coverage_80"] == found["coverage_95"] == 0.0
    assert found["msis"] == pytest.approx(40 * (2 + 4) / 2 / 4)
    # pinball at q: 10 under 12 costs 2 (1 - q), 20 over 16 costs 4 q; the mean of q over 0.1 to 0.9 is 0.5
    assert found["wql"] == pytest.approx(2 * (1 + 2) / 30)


def test_a_value_within_the_bands_is_covered_and_the_width_counts():
    spread = np.array([[[0.0, 2.0, 3.0, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0, 8.0, 10.0]] * 2])
    found = of_quantiles(Truth(np.array([[5.0, 9.0]]), np.array([0]), np.array([2.0])), spread)
    assert found["coverage_95"] == 1.0 and found["coverage_80"] == 0.5
    assert found["msis"] == pytest.approx(10 / 2)


def test_means_are_over_series_and_missing_values_do_not_count():
    values = np.array([[1.0, np.nan], [3.0, 3.0], [10.0, 10.0]])
    truth = Truth(values, np.array([0, 0, 1]), np.ones(3))
    found = of_quantiles(truth, np.zeros((3, 2, len(LEVELS))))
    assert found["mae"] == pytest.approx(((1 + 3 + 3) / 3 + 10) / 2)
    assert weighted_quantile_loss(values, np.nan_to_num(values)[..., None] * np.ones(len(LEVELS))) == 0.0
