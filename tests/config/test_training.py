"""training.py: exactly one budget holds, the default where none is named."""

from typing import ClassVar

import pytest

from llmkit.config import schema
from llmkit.config.training import Training
from llmkit.errors import ConfigError


class Passes(Training):
    """A task that counts passes where no budget is named."""

    default_budget: ClassVar[tuple[str, float]] = ("epochs", 20)


@pytest.mark.parametrize(
    ("settings", "budget"),
    [
        (Training(), ("max_minutes", 3.0)),
        (Passes(), ("epochs", 20)),
        (Passes(max_minutes=0.5), ("max_minutes", 0.5)),
        (Training(steps=7), ("steps", 7)),
        (Training(epochs=0.25), ("epochs", 0.25)),
    ],
)
def test_the_budget_that_holds(settings, budget):
    assert settings.budget == budget


def test_two_budgets_are_refused_with_the_names_of_all():
    for more in ({"steps": 1, "epochs": 2.0}, {"max_minutes": 1.0, "steps": 1}):
        with pytest.raises(ValueError, match=f"^{' and '.join(more)} are given; name exactly one budget: max_minutes"):
            Training(**more)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("steps", 0, "expected a whole number >= 1, got 0"),
        ("epochs", 0, "expected a number > 0.0, got 0"),
        ("max_minutes", -1, "expected a number > 0.0, got -1"),
        ("final_learning_rate", 1.5, "expected a number <= 1.0, got 1.5"),
        ("learning_rate", 1e31, "expected a number <= 1e+30, got 1e+31"),
        ("patience", -1, "expected a whole number >= 0, got -1"),
        ("keep", "first", "'first' is not one of best, last"),
        ("folds", 3, "unknown key"),
    ],
)
def test_values_that_no_training_takes(key, value, message):
    with pytest.raises(ConfigError) as caught:
        schema.check({key: value}, Training, {}, "c.yaml")
    assert str(caught.value).startswith(f"c.yaml: {key}: {message}")
