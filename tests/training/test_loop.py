"""The loop: schedule, budgets, early stopping, and runs that are interrupted anywhere and end bit for bit the same."""

import itertools
import json
import math
import os
import signal
import types

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_learners import language_learner, prepared_tokens

from llmkit.errors import Diverged, InputError, Interrupted
from llmkit.tasks.language.settings import Train
from llmkit.training import checkpoint, loop

TOKENS = np.random.default_rng(0).integers(1, 9, 600).astype(np.uint8)
SETTINGS = Train(
    steps=12,
    batch_size=3,
    sequence_length=6,
    validation_steps=4,
    checkpoint_steps=2,
    warmup_steps=3,
    keep_checkpoints=3,
)


@pytest.fixture(scope="module")
def make_learner(tmp_path_factory):
    prepared = prepared_tokens(tmp_path_factory.mktemp("prepared"), TOKENS, TOKENS[:100])

    def make(settings=SETTINGS):
        return language_learner(prepared, settings, dropout=0.2, input_dropout=0.1, recurrent_dropout=0.1)

    return make


@pytest.fixture
def train(make_learner):
    """Trains in a folder; returns how that ended, the warnings and what was reported."""

    def run(folder, settings=SETTINGS, **others):
        messages, events = [], []
        arguments = {"report": events.append, "warn": messages.append} | others
        outcome = loop.run(make_learner(settings), settings, folder, {"a": 1}, **arguments)
        return outcome, messages, events

    return run


def final_state(folder):
    """Everything that the last checkpoint holds, copied: weights, best weights, optimizer, carried, random states."""
    [last] = sorted(folder.glob("checkpoint-*"))[-1:]
    files = {name: load_file(last / f"{name}.safetensors") for name in ("weights", "best", "state")}
    tensors = {(file, name): tensor.clone() for file, found in files.items() for name, tensor in found.items()}
    plain = json.loads((last / "state.json").read_text())
    del plain["progress"]["seconds"], plain["progress"]["validation_seconds"]
    return tensors, plain


def assert_same(one, other):
    assert one[1] == other[1]
    assert one[0].keys() == other[0].keys()
    assert all(torch.equal(one[0][key], other[0][key]) for key in one[0])


def test_learning_rate_rises_then_falls_along_a_half_cosine():
    settings = Train(learning_rate=1.0, warmup_steps=4, final_learning_rate=0.1)
    assert loop.learning_rate(settings, 0, 0.0) == pytest.approx(0.25)
    assert loop.learning_rate(settings, 3, 0.0) == pytest.approx(1.0)
    assert loop.learning_rate(settings, 0, 0.05) == pytest.approx(0.5, abs=0.01)  # half of a tenth of the budget
    assert loop.learning_rate(settings, 100, 0.5) == pytest.approx(0.55)
    assert loop.learning_rate(settings, 100, 1.0) == pytest.approx(0.1)


def test_runs_its_steps_and_keeps_the_best_weights(make_learner, train, tmp_path):
    outcome, _, events = train(tmp_path)
    assert outcome.step == 12
    losses = [event["val_loss"] for event in events if event["event"] == "validated"]
    assert len(losses) == 3
    assert outcome.val_loss == min(losses)
    assert outcome.best_step == 4 * (losses.index(min(losses)) + 1)
    learner = make_learner()
    learner.load_weights(outcome.weights)
    assert learner.validate()["val_loss"] == pytest.approx(outcome.val_loss, abs=1e-6)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert len(list(tmp_path.glob("checkpoint-*"))) == 3


def test_budget_in_epochs_and_in_minutes(train, tmp_path):
    epochs = msgspec.structs.replace(SETTINGS, steps=None, epochs=0.5)
    outcome, _, _ = train(tmp_path / "epochs", epochs)
    assert 300 <= outcome.count < 300 + 3 * 8
    minutes = msgspec.structs.replace(SETTINGS, steps=None, max_minutes=0.02)
    outcome, _, _ = train(tmp_path / "minutes", minutes)
    assert outcome.step > 1
    assert outcome.seconds < 1.2 + 2


@pytest.mark.parametrize(
    ("steps", "patience", "stops"),
    [(400, 2, 8), (400, None, 104), (40, None, 24)],  # by default a quarter of the budget, and ten validations
)
def test_patience_ends_a_run_that_gets_no_better(make_learner, tmp_path, steps, patience, stops):
    settings = msgspec.structs.replace(SETTINGS, steps=steps, validation_steps=2, patience=patience, learning_rate=1e-9)
    learner = make_learner(settings)
    losses = itertools.chain([3.0, 2.0], itertools.repeat(2.5))
    learner.validate = lambda: {"val_loss": next(losses)}
    outcome = loop.run(learner, settings, tmp_path, {}, lambda event: None, lambda message: None)
    assert outcome.stopped_early
    assert (outcome.step, outcome.best_step, outcome.val_loss) == (stops, 4, 2.0)


def test_divergence_is_stopped_at_once_and_the_last_checkpoint_stays(make_learner, tmp_path):
    learner = make_learner()
    step = learner.step
    learner.step = lambda rate, spent: step(rate, spent) if learner.count < 60 else torch.tensor(float("nan"))
    with pytest.raises(Diverged, match=r"step \d+ is nan; lower train.learning_rate"):
        loop.run(learner, SETTINGS, tmp_path, {}, lambda event: None, lambda message: None)
    assert list(tmp_path.glob("checkpoint-*"))


def test_losses_that_are_read_some_steps_late_change_nothing(train, tmp_path, monkeypatch):
    """As on a GPU, which is not waited for at each step."""
    train(tmp_path / "at once")
    monkeypatch.setattr(loop, "steps_ahead", lambda learner, processes: 3)
    _, _, events = train(tmp_path / "late")
    assert_same(final_state(tmp_path / "at once"), final_state(tmp_path / "late"))
    records = [
        [json.loads(line) | {"seconds": 0} for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("at once", "late")
    ]
    assert records[0] == records[1]
    told = [event["loss"] for event in events if event["event"] == "step"]
    assert all(loss is None or math.isfinite(loss) for loss in told)


@pytest.mark.parametrize("ahead", [0, 2])
def test_divergence_names_its_step_also_where_it_is_read_late(make_learner, tmp_path, monkeypatch, ahead):
    monkeypatch.setattr(loop, "steps_ahead", lambda learner, processes: ahead)
    learner, steps = make_learner(), itertools.count(1)
    learner.step = lambda rate, spent: torch.tensor(math.nan if next(steps) >= 2 else 1.0)
    with pytest.raises(Diverged, match="loss of step 2 is nan"):
        loop.run(learner, SETTINGS, tmp_path, {"a": 1}, lambda event: None, print)


@pytest.mark.parametrize("after", [1, 3, 4, 7, 11])
def test_ctrl_c_saves_and_the_run_ends_bit_for_bit_as_without_it(make_learner, train, tmp_path, after):
    whole, _, _ = train(tmp_path / "whole")
    learner = make_learner()
    step, seen = learner.step, itertools.count(1)

    def step_then_signal(rate, spent):
        if next(seen) == after:
            os.kill(os.getpid(), signal.SIGINT)
        return step(rate, spent)

    learner.step = step_then_signal
    with pytest.raises(Interrupted, match=f"step {after}"):
        loop.run(learner, SETTINGS, tmp_path / "cut", {"a": 1}, lambda event: None, lambda message: None)
    torch.manual_seed(999)  # the resumed process has random states of its own
    resumed, _, events = train(tmp_path / "cut")
    assert events[0] == {"event": "resumed", "step": after, "seconds": events[0]["seconds"]}
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))
    assert all(torch.equal(whole.weights[name], resumed.weights[name]) for name in whole.weights)
    steps = [json.loads(line)["step"] for line in (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [4, 8, 12]


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: self.now))

    def takes(self, seconds, work):
        def slow(*arguments, **others):
            self.now += seconds
            return work(*arguments, **others)

        return slow


@pytest.mark.parametrize("after", [3, 8, 17])
def test_a_budget_in_minutes_counts_those_already_spent(make_learner, tmp_path, monkeypatch, after):
    """Ten minutes of steps of 30 s and validations of 45 s: every fourth step, and at the end."""
    settings = msgspec.structs.replace(SETTINGS, steps=None, max_minutes=10)

    def run(folder, interrupt_at=0):
        clock, learner, seen = Clock(monkeypatch), make_learner(settings), itertools.count(1)

        def step(rate, spent, step=learner.step):
            if next(seen) == interrupt_at:
                os.kill(os.getpid(), signal.SIGINT)
            return step(rate, spent)

        learner.step, learner.validate = clock.takes(30, step), clock.takes(45, learner.validate)
        return loop.run(learner, settings, folder, {}, lambda event: None, lambda message: None)

    whole = run(tmp_path / "whole")
    assert whole.seconds == 14 * 30 + 4 * 45  # a step more would have left no time for the validation at the end
    if after < 14:
        with pytest.raises(Interrupted, match=f"step {after}"):
            run(tmp_path / "cut", interrupt_at=after)
    else:  # the end is reached, the model folder is not: what the final validation left of the budget is not trained on
        run(tmp_path / "cut")
    resumed = run(tmp_path / "cut")
    assert (resumed.step, resumed.seconds) == (whole.step, whole.seconds)
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))


def test_checkpoints_by_the_clock_take_a_tenth_of_the_time_at_most(make_learner, tmp_path, monkeypatch):
    """Every minute, as asked for; but where each takes a minute, every ten minutes. The budget counts their time."""
    settings = msgspec.structs.replace(SETTINGS, steps=None, max_minutes=60, checkpoint_steps=None)
    settings = msgspec.structs.replace(settings, checkpoint_minutes=1, validation_steps=1000)
    for saving, checkpoints in ((0, 60), (60, 6)):
        clock, learner, saved = Clock(monkeypatch), make_learner(settings), list[tuple]()
        learner.step, learner.validate = clock.takes(30, learner.step), lambda: {"val_loss": 1.0}
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "write", clock.takes(saving, lambda *now, saved=saved: saved.append(now)))
            outcome = loop.run(learner, settings, tmp_path, {}, lambda event: None, lambda message: None)
        assert len(saved) == pytest.approx(checkpoints, abs=1)
        spent = 30 * outcome.step + saving * (len(saved) - 1)  # the last one comes after the budget
        assert 3600 - 3 * 30 <= spent < 3600 + saving  # time is kept for the validation at the end


def test_a_validation_that_is_no_number_is_divergence(make_learner, tmp_path):
    learner = make_learner()
    learner.validate = lambda: {"val_loss": float("inf")}
    with pytest.raises(Diverged, match="step 4 is inf"):
        loop.run(learner, SETTINGS, tmp_path, {}, lambda event: None, lambda message: None)


def test_a_damaged_checkpoint_is_skipped_loudly_for_the_one_before(train, tmp_path):
    train(tmp_path)
    expected = final_state(tmp_path)
    newest = sorted(tmp_path.glob("checkpoint-*"))[-1]
    data = bytearray((newest / "weights.safetensors").read_bytes())
    data[-3] ^= 1
    (newest / "weights.safetensors").write_bytes(data)
    _, messages, events = train(tmp_path)
    assert "skipping a damaged checkpoint" in messages[0]
    assert events[0]["step"] == 10
    assert_same(final_state(tmp_path), expected)


def test_other_settings_are_refused_with_the_difference(train, tmp_path):
    train(tmp_path)
    with pytest.raises(InputError, match=r"(?s)a: 1 → 2.*--fresh"):
        checkpoint.newest(tmp_path, {"a": 2}, lambda message: None)
