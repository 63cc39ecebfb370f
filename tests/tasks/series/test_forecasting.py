"""series.json, by hand."""

import numpy as np
import pytest

from llmkit.errors import InputError
from llmkit.predicting.forecast_metrics import LEVELS, MEDIAN
from llmkit.store.files import Files
from llmkit.tasks.series import forecasting, windows
from llmkit.tasks.series.forecasting import Forecasting


def made(**more):
    known = {"context": 4, "season": 2, "horizon": 2, "step": 1.0, "minimum": None, "names": [], "ends": []}
    return Forecasting(**(known | {"stretch": [1.0] * len(LEVELS)} | more))


def test_outputs_become_forecasts_in_the_unit_of_the_series():
    before = windows.of_past(np.array([[10.0, 14, 10, 14]]), np.array([np.nan]), 2, 2)
    assert (before.level, before.spread) == ([12], [2])
    outputs = np.full((1, 2, len(LEVELS)), -40.0)  # softplus: no distance
    outputs[..., MEDIAN] = [0.5, 0]
    found = made().quantiles(outputs.reshape(1, -1), before)
    np.testing.assert_allclose(
        found, [[[11.0] * 11, [14.0] * 11]]
    )  # a season before 10 and 14, the first 0.5 spreads up
    assert made(minimum=12.5).quantiles(outputs.reshape(1, -1), before)[0, 0].tolist() == [12.5] * 11


def test_the_loss_of_a_forecast_without_spread_is_its_scaled_error():
    found = np.full((1, 3, len(LEVELS)), 5.0)
    assert forecasting.loss(found, np.array([[7.0, 5.0, np.nan]]), np.array([2.0])) == pytest.approx(0.5)


def test_what_was_written_is_read(tmp_path):
    about = made(minimum=0.5, names=["a"], ends=[None])
    (tmp_path / forecasting.FILE).write_bytes(about.to_bytes())
    assert forecasting.read(Files(tmp_path)) == about


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"stretch": [1.0]}, "its stretch is not 11 numbers above 0"),
        ({"context": 1}, "its context is shorter than a season"),
        ({"step": 0.0}, "its step is not a number of seconds above 0"),
        ({"names": ["a"]}, "it has 1 names and 0 ends"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, more, says):
    (tmp_path / forecasting.FILE).write_bytes(made(**more).to_bytes())
    with pytest.raises(InputError, match=says):
        forecasting.read(Files(tmp_path))
