"""`llmkit train`: what `--dry-run` foretells, against a training whose every second is known; figures and warnings."""

import json
import math
import random
import types

import pytest
import torch

from llmkit.fitting import probe, setup as setups
from llmkit.fitting.setup import Setup
from llmkit.stages import freshness, train
from llmkit.tasks import experiment as experiments
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


def setup_of(run, *overrides) -> Setup:
    experiment = experiments.load(run.config, overrides)
    return Setup(experiment.settings, freshness.read_prepared(experiment), "cpu")


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


def test_every_fold_counts_as_a_training(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "probe", lambda setup: {"minutes": 2.0})
    setup = setup_of(tiny_run)
    once = {"goes_on_from_step": 0, "minutes": 2.0}
    assert train._expected(setup, tmp_path, begins_anew=False) == once
    monkeypatch.setattr(type(setup.settings.train), "folds", 5)
    assert train._expected(setup, tmp_path, begins_anew=False) == once | {"minutes": 12.0, "folds": 5}


def test_too_little_data_is_said_plainly(foretell, tiny_run):
    assert foretell("train.epochs=16")[0]["too_small"] == []
    [often] = foretell("train.epochs=17")[0]["too_small"]
    assert "reads the 50,000 training tokens 17 times: expect overfitting" in often
    assert probe.too_small(99, 99, 1.0, "tokens") == []
    [large] = probe.too_small(99, 100, 1.0, "tokens")
    assert "99 tokens for 100 parameters" in large


def test_the_command_says_it_too(llmkit, tiny_copy, monkeypatch):
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0)
    ran = llmkit("train", tiny_copy.config, "train.steps=9999", "--dry-run", "--json")
    assert len(ran.json["too_small"]) == 1 and ran.json["epochs"] > 16  # 2,100 parameters, 3,201 tokens
    assert "too small: this budget reads" in llmkit("train", tiny_copy.config, "train.steps=9999", "--dry-run").out


def test_the_figures_of_train(llmkit, tiny_copy):
    found = llmkit("train", tiny_copy.config, "--json").json
    assert found["steps"] == found["best_step"] == 5
    vocabulary = len(json.loads((tiny_copy.model / "tokenizer.json").read_text())["model"]["vocab"])
    # embedding, four gates with one bias, output
    assert found["parameters"] == vocabulary * 8 + 4 * 16 * (8 + 16 + 1) + (16 + 1) * vocabulary
    assert {"tokens", "seconds", "tokens_per_second", "val_loss"} <= found.keys()
    assert found["tokens_per_second"] == pytest.approx(found["tokens"] / found["seconds"])


def test_a_budget_on_the_command_line_replaces_that_of_the_file(llmkit, tiny_copy):
    assert llmkit("train", tiny_copy.config, "train.steps=2", "--json").json["steps"] == 2
    found = llmkit("train", tiny_copy.config, "train.epochs=0.1", "--json").json
    # a tenth of 3,200 characters and the boundary, overshot by less than the longest step: 4 streams of 19
    assert 320.1 <= found["tokens"] < 320.1 + 4 * 19
    assert llmkit("train", tiny_copy.config, "--json").json["steps"] == 5


def test_a_corpus_shorter_than_a_window_is_trained_with_a_warning(llmkit, tiny_fresh):
    tiny_fresh.text.write_text("a small corpus, of 35 letters here\n")
    llmkit("prepare", tiny_fresh.config)
    ran = llmkit("train", tiny_fresh.config, "train.sequence_length=64", "--json")
    assert ran.code == 0
    # 80 % of 35 characters and the boundary: 29 tokens in 4 streams of 7, of which 6 can be predicted
    assert "warning: the training split has only 29 tokens" in ran.err
    assert "train.sequence_length 64 → 6" in ran.err
    assert math.isfinite(ran.json["val_loss"])


def test_a_dry_run_of_train_tells_steps_memory_and_time(llmkit, tiny_copy, monkeypatch):
    monkeypatch.setattr("llmkit.fitting.probe.PROBE_SECONDS", 0)
    found = llmkit("train", tiny_copy.config, "train.steps=1000", "--dry-run", "--json").json
    assert found["steps"] == 1000
    assert found["memory_bytes"] > 10_000_000
    assert found["minutes"] > 0
