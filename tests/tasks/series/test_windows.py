"""Windows and quantiles, by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from llmkit.predicting.forecast_metrics import LEVELS, MEDIAN
from llmkit.tasks.series import windows
from llmkit.tasks.series.objective import of_outputs


def test_a_window_is_scaled_by_its_own_level_and_spread():
    past = np.array([[1.0, 3.0, 1.0, 3.0, 2.0, 3.0]])
    found = windows.of_past(past, np.array([np.nan]), season=2, horizon=3)
    # the level is the mean of the last season, 2.5; distances 1.5 .5 1.5 .5 .5 .5
    assert found.level == [2.5] and found.spread == pytest.approx(5 / 6)
    np.testing.assert_allclose(found.features[0, :6], np.array([-1.5, 0.5, -1.5, 0.5, -0.5, 0.5]) * 1.2, rtol=1e-6)
    np.testing.assert_allclose(found.features[0, 6:], 0)  # no time
    np.testing.assert_allclose(found.base, [[-0.6, 0.6, -0.6]])  # the season before, over again
    np.testing.assert_allclose(found.scaled(np.array([[2.5, 4.5, 0.5]])), [[0, 2.4, -2.4]])
    np.testing.assert_allclose(found.unscaled(np.zeros((1, 3, 1))), 2.5)


def test_the_same_series_in_another_unit_gives_the_same_window():
    past = np.random.default_rng(0).normal(5, 2, (3, 24))
    first, second = (windows.of_past(values, np.full(3, np.nan), 12, 6) for values in (past, 1000 * past))
    np.testing.assert_allclose(first.features, second.features, rtol=1e-5, atol=1e-6)


def test_a_window_that_never_changes_has_a_spread():
    found = windows.of_past(np.full((2, 8), [[7.0], [0.0]]), np.zeros(2), 4, 4)
    assert (found.spread > 0).all() and np.isfinite(found.features).all()


def test_noon_of_a_thursday_is_half_a_day_on():
    [found] = windows.calendar(np.array([windows.DAY / 2]))  # 1970-01-01 was a Thursday
    np.testing.assert_allclose(found[[0, 3]], [0, -1], atol=1e-9)
    np.testing.assert_allclose(found[[1, 4]], [np.sin(np.pi / 7), np.cos(np.pi / 7)])


def test_gaps_are_filled_from_what_was_before():
    values = np.array([1.0, np.nan, 3.0, 4.0, np.nan, np.nan, np.nan])
    assert windows.filled(values, 3).tolist() == [1, 1, 3, 4, 1, 3, 4]


def test_a_short_series_begins_in_phase():
    assert windows.with_beginning(np.array([1.0, 2, 3, 4, 5]), 4, 3).tolist() == [3, 1, 2, 3, 1, 2, 3, 4, 5]
    assert windows.last_window(np.array([8.0]), 3, 12).tolist() == [8, 8, 8]


@given(st.lists(st.floats(-50, 50), min_size=2 * len(LEVELS), max_size=2 * len(LEVELS)))
def test_quantiles_never_cross_and_are_what_torch_makes(numbers):
    outputs, base = np.array([numbers]), np.array([[1.0, -2.0]])
    found = windows.quantiles(outputs, base)  # (1, 2, Q)
    assert (np.diff(found) >= 0).all()
    np.testing.assert_allclose(found[0, :, MEDIAN], base[0] + outputs.reshape(2, -1)[:, MEDIAN])
    theirs = of_outputs(torch.from_numpy(outputs), torch.from_numpy(base)).numpy()
    np.testing.assert_allclose(found, theirs, rtol=1e-6, atol=1e-6)


def test_stretched_quantiles_hold_as_many_truths_as_they_say():
    generator = np.random.default_rng(1)
    truth = generator.normal(0, 3, (2000, 2))
    found = np.zeros((2000, 2, len(LEVELS))) + np.linspace(-1, 1, len(LEVELS))
    stretch = windows.stretches(truth, found)
    wider = found * stretch
    for low, high in ((0, -1), (1, -2), (4, -5)):
        inside = (wider[..., low] <= truth) & (truth <= wider[..., high])
        assert inside.mean() == pytest.approx(LEVELS[high] - LEVELS[low], abs=0.002)
    assert stretch[MEDIAN] == 1


def test_quantiles_that_stretching_crossed_are_put_in_order():
    crossed = np.array([[[-1.0, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 1]]])
    assert windows.in_order(crossed)[0, 0].tolist() == [-3, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 3]
