"""Dropout that the config leaves open: from none to the most measured, by the passes that a budget makes."""

import pytest

from llmkit.tasks.language import dropout
from llmkit.tasks.language.settings import Model, Train


def test_what_was_measured_is_met_and_between_it_lines_are_straight():
    for passes, *expected in dropout.MEASURED:
        assert list(dropout.for_passes(passes)) == expected
    low, high = dropout.for_passes(0), dropout.for_passes(dropout.MEASURED[1][0])
    half = dropout.for_passes(dropout.MEASURED[1][0] / 2)
    assert half.dropout == pytest.approx((low.dropout + high.dropout) / 2)
    assert dropout.for_passes(1e9) == dropout.MEASURED[-1][1:]


@pytest.mark.parametrize(
    ("train", "passes"),
    [
        (Train(epochs=7), 7),
        (Train(steps=50, batch_size=4, sequence_length=10), 2),  # 50 × 40 of 1,000 tokens
        (Train(max_minutes=0.5), 3),  # 30 s × 1e6 FLOP/s ÷ 1e4 FLOP a token
    ],
)
def test_passes_of_each_kind_of_budget(train, passes):
    assert dropout.expected_passes(train, tokens=1000, flops_per_token=1e4, speed=1e6) == pytest.approx(passes)


def test_what_the_config_names_stays():
    found = dropout.chosen(Model(dropout=0.4, recurrent_dropout=0.0), passes=100, weights=1e7)
    assert found == (0.4, dropout.MEASURED[-1][2], 0.0)


@pytest.mark.parametrize(("weights", "share"), [(1e9, 1.0), (1.0, 1.0), (0.25, 0.5), (0.01, 0.1)])
def test_networks_smaller_than_the_measured_one_get_less(weights, share):
    found = dropout.chosen(Model(), passes=100, weights=weights * dropout.MEASURED_WEIGHTS)
    assert found == pytest.approx([share * value for value in dropout.MEASURED[-1][1:]], abs=1e-4)
