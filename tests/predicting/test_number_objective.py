"""The objective `Numbers` against hand-computed losses."""

import math

import numpy as np
import pytest
import torch

from llmkit.predicting import numbers
from llmkit.predicting.number_objective import Numbers, Target
from llmkit.predicting.numbers import Scale

TRUTHS = np.array([10.0, 14.0, 12.0, 6.0])  # z: 0, 2, 1, -2
LN2 = math.log(2)  # the softplus of 0


def objective(**more):
    return Numbers(Target("price", TRUTHS, Scale(10.0, 2.0), **more), torch.device("cpu"))


def loss(made, outputs, batch, mine=None, parts=1, share=0.0):
    batch = np.array(batch)
    return made.loss(outputs, batch if mine is None else np.array(mine), batch, parts, share).item()


@pytest.mark.parametrize(
    ("settings", "point"),
    [({}, 4.0), ({"loss": "absolute"}, 2.0), ({"loss": "quantile", "quantile": 0.9}, 1.8)],
)
def test_the_loss_by_hand(settings, point):
    """z of 0 for a truth of 2: it is 2 + ln 2 above the lower quantile, 2 - ln 2 above the upper one."""
    found = loss(objective(**settings), torch.zeros(1, 3), [1])
    assert found == pytest.approx(point + 0.05 * (2 + LN2) + 0.95 * (2 - LN2), rel=1e-6)


def test_each_member_has_a_loss_and_a_batch_the_mean():
    outputs = torch.randn(4, 2, 3)
    each = [loss(objective(), outputs[k : k + 1, member], [k]) for k in range(4) for member in range(2)]
    assert loss(objective(), outputs, [0, 1, 2, 3]) == pytest.approx(np.mean(each), rel=1e-5)


def test_weights_count_as_often_as_they_say_and_parts_make_the_whole():
    outputs = torch.randn(4, 3)
    weighted = objective(weights=np.array([1.0, 3.0, 1.0, 1.0]))
    often = torch.cat([outputs, outputs[1:2], outputs[1:2]])
    whole = loss(weighted, outputs, [0, 1, 2, 3])
    assert whole == pytest.approx(loss(objective(), often, [0, 1, 2, 3, 1, 1]), rel=1e-5)
    halves = [loss(weighted, outputs[part], [0, 1, 2, 3], part, 2) for part in ([0, 1], [2, 3])]
    assert np.mean(halves) == pytest.approx(whole, rel=1e-5)


def test_the_spreads_do_not_move_the_number():
    outputs = torch.zeros(1, 3, requires_grad=True)
    objective().loss(outputs, np.array([1]), np.array([1]), 1, 0.0).backward()
    assert outputs.grad is not None
    assert outputs.grad[0, 0].item() == pytest.approx(-4.0)  # of (2 - z)² alone


def test_a_teacher_s_share_is_the_squared_distance():
    made = objective()
    made.teach(made.together([torch.ones(4, 3), 3 * torch.ones(4, 3)], 2.0), 2.0)
    plain = loss(objective(), torch.zeros(1, 3), [1])
    assert loss(made, torch.zeros(1, 3), [1], share=0.25) == pytest.approx(0.75 * plain + 0.25 * 4.0, rel=1e-6)


def test_validation_and_what_is_fitted_at_the_end():
    made, outputs = objective(), np.zeros((2, 3), np.float32)
    found = made.validate(outputs, np.array([0, 1]))
    assert found == {"val_loss": 2.0, "val_rmse": pytest.approx(8**0.5)}  # z off by 0 and 2, numbers by 0 and 4
    assert math.isnan(made.validate(np.full((2, 3), np.nan), np.array([0, 1]))["val_loss"])
    finish = made.finish(outputs, np.array([0, 1]))
    assert finish.metrics == found
    assert list(finish.files) == [numbers.NUMBERS]
