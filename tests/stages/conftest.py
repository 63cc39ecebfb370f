"""Signals to a training that runs in this process."""

import os

import pytest


@pytest.fixture
def signalled(monkeypatch):
    """Makes training send itself a signal in one of its steps."""
    from llmkit.tasks.language.train import LanguageLearner

    def signalled(number: int, at: int) -> None:
        steps = []

        def step(learner, learning_rate, original=LanguageLearner.step):
            steps.append(learning_rate)
            if len(steps) == at:
                os.kill(os.getpid(), number)
            return original(learner, learning_rate)

        monkeypatch.setattr(LanguageLearner, "step", step)

    yield signalled
