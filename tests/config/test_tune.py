"""tune.py: the ranges and choices of a search, and what bounds it."""

import pytest

from llmkit.config import schema
from llmkit.config.tune import Range, Tune
from llmkit.errors import ConfigError


@pytest.mark.parametrize(
    "data",
    [
        {"low": 1, "high": 2},
        {"low": -1.5, "high": 0},
        {"low": 1e-3, "high": 1e-1, "log": True},
        {"choices": [0]},
        {"choices": [1, 2.5, "x", None, True]},
    ],
)
def test_a_range_keeps_the_kinds_of_its_values(data):
    found = schema.check(data, Range, {}, "c.yaml")
    again = {key: value for key, value in schema.to_data(found).items() if key in data}
    assert again == data
    assert [type(value) for value in found.choices or []] == [type(value) for value in data.get("choices", [])]
    assert (type(found.low), type(found.high)) == (type(data.get("low")), type(data.get("high")))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "needs low and high with low < high, or choices"),
        ({"low": 1}, "needs low and high with low < high, or choices"),
        ({"low": 2, "high": 2}, "needs low and high with low < high, or choices"),
        ({"low": 0, "high": 2, "log": True}, "log needs low > 0"),
        ({"choices": []}, "give either low and high or a list of choices"),
        ({"choices": [1], "high": 2}, "give either low and high or a list of choices"),
    ],
)
def test_a_range_that_says_nothing_or_two_things(data, message):
    with pytest.raises(ConfigError, match=f"^c.yaml: {message}$"):
        schema.check(data, Range, {}, "c.yaml")


def test_trials_have_one_budget():
    with pytest.raises(ConfigError, match="^c.yaml: trial_steps: trial_budget and trial_steps are given; name one of"):
        schema.check({"trial_budget": 0.5, "trial_steps": 3}, Tune, {}, "c.yaml")
    with pytest.raises(ConfigError, match=r"^c.yaml: trial_budget: expected a number <= 1.0, got 2$"):
        schema.check({"trial_budget": 2}, Tune, {}, "c.yaml")


def test_a_search_of_its_own_takes_the_place_of_the_default():
    assert list(Tune().search) == ["train.learning_rate"]
    found = schema.check({"search": {"model.layers": {"choices": [1, 2]}}}, Tune, {}, "c.yaml")
    assert found.search == {"model.layers": Range(choices=[1, 2])}
    assert Tune().search is not Tune().search
