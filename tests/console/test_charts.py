"""The loss curve is a PNG with as many points as validations, and is left out where there is nothing to see."""

import json

import pytest

from llmkit.console import charts


def test_loss_curve_is_drawn_from_two_validations_on(tmp_path):
    pytest.importorskip("matplotlib")
    metrics, picture = tmp_path / "metrics.jsonl", tmp_path / "loss.png"
    lines = [json.dumps({"step": step, "train_loss": 3 / step, "val_loss": 4 / step}) for step in (1, 2, 3)]
    metrics.write_text(lines[0] + "\n")
    assert not charts.loss_curve(metrics, picture)
    assert not picture.exists()
    metrics.write_text("\n".join(lines) + "\n")
    assert charts.loss_curve(metrics, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
