"""probe.py: what a training would take, against one whose every second is known; data that is too little."""

import random
import types

import pytest
import torch
from small_runs import setup_of

from llmkit.fitting import probe, setup as setups
from llmkit.training.devices import Hardware

STEP, VALIDATION = 0.05, 6.0  # seconds


class Clocked:
    """A learner that takes known seconds: 100 units in a step, 200,000 in a validation, 50,000 to train on."""

    unit, step_count, validation_count = "tokens", 100, 200_000
    hardware = Hardware(torch.device("cpu"))

    def __init__(self, clock: list[float]):
        self.clock, self.count, self.shares = clock, 0, list[float]()
        self.noise = random.Random(1)

    @property
    def epochs(self) -> float:
        return self.count / 50_000

    def step(self, rate: float, spent: float) -> torch.Tensor:
        units = self.noise.randint(80, 120)  # windows differ in length
        noisy = 30 if self.count == 0 or self.noise.random() < 0.2 else 1  # the first step, and a busy neighbour
        self.clock[0] += STEP * units / 100 * noisy
        self.count += units
        return torch.zeros(())

    def validate(self, share: float = 1.0) -> dict[str, float]:
        self.shares.append(share)
        self.clock[0] += VALIDATION * share
        return {"val_loss": 1.0}

    def weights(self) -> dict[str, torch.Tensor]:
        return {"w": torch.zeros(10, 10)}

    def state(self) -> tuple[dict[str, torch.Tensor], dict]:
        return {"m": torch.zeros(20)}, {}


@pytest.fixture
def foretell(tiny_run, monkeypatch):
    """Probes a training with some settings; returns what it says and the learner."""

    def foretold(*overrides):
        clock = [0.0]
        learner = Clocked(clock)
        monkeypatch.setattr(probe, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
        monkeypatch.setattr(setups, "learner", lambda setup: learner)
        return probe.probe(setup_of(tiny_run, "train.validation_steps=300", *overrides)), learner, clock[0]

    return foretold


def test_each_budget_in_steps_and_minutes(foretell):
    with_validation = STEP + VALIDATION / 300  # a step and its share of a validation
    for override, steps in (
        ("train.steps=6000", 6000),
        ("train.epochs=12", 6000),
        ("train.max_minutes=7", (7 * 60 - VALIDATION) / with_validation),
    ):
        found, learner, took = foretell(override)
        assert found["steps"] == pytest.approx(steps, rel=0.03)
        assert found["epochs"] == pytest.approx(found["steps"] / 500, rel=0.01)
        assert found["minutes"] == pytest.approx((steps * with_validation + VALIDATION) / 60, rel=0.05)
        assert learner.shares == [pytest.approx(0.1)]  # 20,000 units
        assert took < probe.PROBE_SECONDS + 10
        assert (found["parameters"], found["training_tokens"]) == (100, 50_000)


def test_the_last_step_of_a_pass_counts_as_one(foretell, monkeypatch):
    monkeypatch.setattr(Clocked, "step_count", 300)
    assert foretell("train.epochs=3")[0]["steps"] == 3 * 167  # 50,000 units


def test_too_little_data_is_said_plainly(foretell):
    assert foretell("train.epochs=16")[0]["too_small"] == []
    [often] = foretell("train.epochs=17")[0]["too_small"]
    assert "reads the 50,000 training tokens 17 times: expect overfitting" in often
    assert probe.too_small(99, 99, 1.0, "tokens") == []
    [large] = probe.too_small(99, 100, 1.0, "tokens")
    assert "99 tokens for 100 parameters" in large


def test_of_examples_none_are_called_too_few(foretell, monkeypatch):
    """One of a table has many numbers to learn from."""
    monkeypatch.setattr(Clocked, "unit", "examples")
    found = foretell("train.epochs=17")[0]
    assert (found["training_examples"], found["too_small"]) == (50_000, [])
