"""Searched keys: what is refused before anything runs, and the budget of a trial."""

import pytest
import yaml

from llmkit.errors import ConfigError
from llmkit.search import values
from llmkit.stages.tune import tune
from llmkit.tasks import experiment as experiments


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"train.learning_rat": {"low": 1e-3, "high": 1e-2}}, "learning_rat"),
        ({"train.learning_rate": {"low": -1.0, "high": 1e-2}}, "expected a number"),
        ({"prepare.files": {"choices": ["a", "b"]}}, "only keys of model and train"),
        ({"train.steps": {"low": 1, "high": 9}}, "a budget cannot be searched"),
        ({"train.learning_rate": {"low": 0.02, "high": 0.1}}, r"the numbers from 0.02 to 0.1 leave .* own 0.01; widen"),
        ({"model.dropout": {"low": 1e-9, "high": 0.5}}, "leave out the config's own 0.0"),
        ({"model.input_dropout": {"low": 0.0, "high": 0.5}}, "the config leaves it open; give it a value"),
        ({"model.hidden_size": {"choices": [8, 32]}}, r"the choices \[8, 32\] leave out the config's own 16"),
    ],
)
def test_a_search_over_wrong_keys_or_values_is_refused_at_once(tiny_copy, search, message):
    config = experiments.load(tiny_copy.config, [f"tune.search={yaml.safe_dump(search, default_flow_style=True)}"])
    with pytest.raises(ConfigError, match=message):
        tune(config)


def test_a_range_of_whole_numbers_does_not_hold_a_fraction(tiny_copy):
    config = experiments.load(
        tiny_copy.config, ["model.dropout=0.1", "tune.search={model.dropout: {low: 0, high: 0.5}}"]
    )
    values.check(config)
    config = experiments.load(
        tiny_copy.config, ["train.gradient_clip=1.5", "tune.search={train.gradient_clip: {low: 1, high: 2}}"]
    )
    with pytest.raises(ConfigError, match=r"the whole numbers from 1 to 2 leave out the config's own 1.5"):
        values.check(config)


@pytest.mark.parametrize(
    ("overrides", "budget", "validation_steps"),
    [
        (["train.steps=100"], ("steps", 25), 7),
        (["train.steps=100", "train.validation_steps=9"], ("steps", 25), 9),
        (["train.steps=100", "tune.trial_budget=0.5"], ("steps", 50), 13),
        (["train.max_minutes=8"], ("max_minutes", 2.0), None),
        (["train.epochs=2"], ("epochs", 0.5), None),
        (["train.max_minutes=8", "tune.trial_steps=40"], ("steps", 40), 10),
        (["train.steps=1"], ("steps", 1), 1),
    ],
)
def test_a_trial_gets_its_share_or_its_steps(tiny_copy, overrides, budget, validation_steps):
    config = experiments.load(tiny_copy.config, overrides)
    train = values.trial_experiment(config, {"train.learning_rate": 0.02}).settings.train
    assert (train.budget, train.validation_steps, train.learning_rate) == (budget, validation_steps, 0.02)


def test_a_share_and_steps_together_are_refused_and_an_override_replaces(tiny_copy):
    text = tiny_copy.config.read_text() + "tune: {trial_budget: 0.5}\n"
    tiny_copy.config.write_text(text)
    assert experiments.load(tiny_copy.config, ["tune.trial_steps=7"]).settings.tune.trial_budget is None
    tiny_copy.config.write_text(text.replace("{trial_budget", "{trial_steps: 7, trial_budget"))
    with pytest.raises(ConfigError, match="trial_budget and trial_steps are given"):
        experiments.load(tiny_copy.config)
