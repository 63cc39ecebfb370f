"""Signals to a training that runs in this process."""

import os

import pytest


@pytest.fixture
def signalled(monkeypatch):
    """Makes training send itself a signal in one of its steps."""
    from llmkit.tasks.language.train import LanguageLearner

    def signalled(number: int, at: int) -> None:
        steps = []

        def step(learner, rate, spent, original=LanguageLearner.step):
            steps.append(rate)
            if len(steps) == at:
                os.kill(os.getpid(), number)
            return original(learner, rate, spent)

        monkeypatch.setattr(LanguageLearner, "step", step)

    yield signalled
