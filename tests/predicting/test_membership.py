"""Membership: rates by hand, and of models that were trained on the members."""

import numpy as np
import pytest

from llmkit.errors import ConfigError
from llmkit.predicting.evaluate import Targeted
from llmkit.predicting.membership import figures, true_positives


def test_true_positives_by_hand():
    """Of 200 others 2 may be taken for members: those of 199 and 198. Above 197 are three of four members."""
    others = np.arange(200.0)
    assert true_positives(np.array([197.0, 197.5, 198.0, 300.0]), others) == 0.75
    assert true_positives(np.array([197.0, 197.5, 198.0, 300.0]), others, false_positives=0.0) == 0.25
    assert true_positives(others, np.full(100, 7.0)) == 192 / 200  # of those that are all alike, none


class Knowing:
    """A model whose answers are the examples, and whose losses their distances to the targets."""

    def answers(self, examples):
        return examples

    def losses(self, answers, targets):
        return np.abs(answers - targets)


def targeted(values, split="test", members=None):
    return Targeted(split, np.zeros(len(values)), lambda model, which: values[which], members=members)


def test_members_that_lose_less_are_found():
    inside, outside = targeted(np.linspace(0, 1, 300), "train"), np.linspace(0.5, 1.5, 400)
    found = figures(Knowing(), targeted(outside, members=lambda: inside), 1000, lambda *a: None, pytest.fail)
    assert found["membership_auc"] == pytest.approx(1 - 0.5 * 0.5 * 0.5, abs=0.01)
    assert found["membership_tpr"] == pytest.approx(0.5, abs=0.02)
    assert found["membership_examples"] == [300, 400]
    assert figures(Knowing(), targeted(outside), None, lambda *a: None, pytest.fail) == {}


def test_too_few_and_none_draw_a_warning_and_the_training_split_is_refused():
    some, messages = np.linspace(0, 1, 50), []
    found = figures(Knowing(), targeted(some, members=lambda: targeted(some)), 20, lambda *a: None, messages.append)
    assert found["membership_examples"] == [20, 20]
    assert "has 20 examples" in messages[0]
    assert figures(Knowing(), targeted(some, "files"), 20, lambda *a: None, messages.append) == {}
    assert "left out" in messages[1]
    with pytest.raises(ConfigError, match="set evaluate.split to test or val"):
        figures(Knowing(), targeted(some, "train"), 20, lambda *a: None, messages.append)
