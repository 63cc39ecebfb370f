"""The loss curve is a PNG with as many points as validations, and is left out where there is nothing to see."""

import io

import pytest

from llmkit.console import charts


def test_loss_curve_is_drawn_from_two_validations_on():
    pytest.importorskip("matplotlib")
    records = [{"step": step, "train_loss": 3 / step, "val_loss": 4 / step} for step in (1, 2, 3)]
    picture = io.BytesIO()
    assert not charts.loss_curve(records[:1], picture)
    assert picture.getvalue() == b""
    assert charts.loss_curve(records, picture)
    assert picture.getvalue().startswith(b"\x89PNG")
