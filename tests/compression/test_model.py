"""What methods take and give: how much higher a loss is than the first one, whatever its sign."""

import math

import pytest

from llmkit.compression.model import increase_percent


@pytest.mark.parametrize(
    ("loss", "first", "expected"),
    [
        (2.06, 2.0, 3.0),
        (1.0, 2.0, -50.0),
        (2.0, 2.0, 0.0),
        (-1.0, -2.0, 50.0),  # higher, so worse: a likelihood of a density may be above 1
        (-3.0, -2.0, -50.0),
        (1.0, -2.0, 150.0),
        (0.0, 0.0, 0.0),
        (0.1, 0.0, math.inf),
    ],
)
def test_the_increase_in_percent_of_the_first_loss(loss, first, expected):
    assert increase_percent(loss, first) == pytest.approx(expected)
