"""fit.py: the best weights become the model, with the metrics of their training; what is shown and recorded of it."""

import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from msgspec import structs
from small_learners import Counting
from small_runs import setup_of

from llmkit.config.training import Training
from llmkit.console.messages import Console
from llmkit.errors import ConfigError
from llmkit.fitting import fit, setup as setups
from llmkit.store.model_folder import ModelFile
from llmkit.training import loop
from llmkit.training.distributed import ALONE, Processes


class Listener(Console):
    """Notes what a training reports, and how often it is told that it has ended."""

    def __init__(self):
        super().__init__(0)
        self.events, self.closed = [], 0

    def training(self, event):
        self.events.append(event["event"])

    def close(self):
        self.closed += 1


@pytest.fixture
def fitted(tiny_run, tmp_path, monkeypatch):
    """Fits a learner for three steps, with validations of 3.0, 1.0 and 2.0; returns it too, and the setup."""
    learner = Counting([3.0, 1.0, 2.0])
    setup = replace(setup_of(tiny_run, "train.steps=3", "train.validation_steps=1"), ui=Listener())
    monkeypatch.setattr(setups, "learner", lambda of: learner)
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: 0.0))
    return fit.fit(setup, tmp_path), learner, setup


def test_the_model_is_that_of_the_best_validation(fitted):
    found, learner, setup = fitted
    assert found.weights["number"].tolist() == [2.0]  # after the second step
    assert learner.finished == [(1.0, setup.work, setup.ui.progress)]
    assert (found.result["val_loss"], found.result["best_step"]) == (1.0, 2)


def test_the_result_is_what_inputs_and_settings_decide_and_the_clock_stands_beside_it(fitted):
    found, _, _ = fitted
    assert found.result == {
        "steps": 3,
        "examples": 30,
        "val_loss": 1.0,
        "best_step": 2,
        "stopped_early": False,
        "parameters": 1,
        "trainable": True,
        "device": "cpu",
        "number_type": "float32",
        "accuracy": 0.75,
    }
    assert found.timings == {"seconds": 0.0, "examples_per_second": 30 / 1e-9}


def test_files_metrics_and_warnings_of_the_end_are_handed_on(fitted, tmp_path):
    found, _, setup = fitted
    assert found.files == {"labels.json": ModelFile(b"[]"), "more.json": ModelFile(b"{}")}
    assert found.warnings == ["few examples"]
    assert found.metrics_file == tmp_path / "metrics.jsonl"
    assert len(found.metrics_file.read_text().splitlines()) == 3
    assert setup.ui.events == ["validated"] * 3
    assert setup.ui.closed == 2  # after the loop, and after what comes at the end


@pytest.fixture
def settings(tiny_run):
    """Settings of 16 hidden units; what `driven` does not name is left at its default."""
    return setup_of(tiny_run).settings


def driven(settings, learner, folder, give_up=None, processes=ALONE, **train):
    ui = Listener()
    settings = structs.replace(settings, train=Training(**{"steps": 3, "validation_steps": 1} | train))
    try:
        fit.run_loop(learner, settings, folder, {}, ui, give_up, processes)
    finally:
        assert ui.closed == 1
    return ui


def test_a_training_may_be_given_up_and_its_display_ends(settings, tmp_path):
    looks = []

    def prune(spent, loss):
        looks.append((spent, loss))
        if loss == 1.0:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        driven(settings, Counting([3.0, 1.0, 2.0]), tmp_path, prune)
    assert looks == [(pytest.approx(1 / 3), 3.0), (pytest.approx(2 / 3), 1.0)]


def test_denormals_are_flushed_and_memory_that_is_short_is_explained(settings, tmp_path):
    learner, flushed = Counting([1.0] * 3), []

    def step(rate, spent):
        flushed.append((torch.tensor(1e-40) * 1.0).item() == 0)
        raise MemoryError

    learner.step = step
    with pytest.raises(ConfigError, match="^not enough memory for train.batch_size 7 and .*model.hidden_size 16, "):
        driven(settings, learner, tmp_path, batch_size=7)
    assert flushed == [True]
    assert (torch.tensor(1e-40) * 1.0).item() > 0


def test_process_0_alone_records_curves(settings, tmp_path):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    for rank in (0, 1):
        folder = tmp_path / str(rank)
        driven(settings, Counting([1.0] * 3), folder, processes=Processes(rank), tensorboard=True)
        assert (folder / "tensorboard").exists() == (rank == 0)


def test_each_of_several_processes_shares_each_batch_and_draws_apart(tiny_run, tmp_path, monkeypatch):
    learner, told = Counting([]), []
    learner.distribute = told.append
    monkeypatch.setattr(setups, "learner", lambda of: learner)
    monkeypatch.setattr(fit, "run_loop", lambda *arguments: torch.rand(1).item())
    drawn = []
    for processes in (Processes(0, 1), Processes(0, 2), Processes(1, 2)):
        torch.manual_seed(1)
        found, outcome = fit.train_weights(replace(setup_of(tiny_run), processes=processes), Path(tmp_path))
        assert found is learner
        drawn.append(outcome)
    assert told == [Processes(0, 2), Processes(1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
