"""One trial: how it ends, where it is compared, and the messages of a worker."""

import math

import pytest

from llmkit.config.schema import to_data
from llmkit.search import values, worker
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments


@pytest.fixture
def prepared(tiny_run):
    return artifacts.read(tiny_run.run_dir / "prepared")


def trial(run, *overrides):
    return values.trial_experiment(experiments.load(run.config, ["tune.trial_steps=8", *overrides]), {})


def test_a_trial_is_compared_at_each_quarter_but_the_last(tiny_run, prepared, tmp_path):
    looks, events = [], []
    outcome = worker.run_trial(
        trial(tiny_run), prepared, tmp_path, "cpu", events.append, lambda point, loss: looks.append((point, loss))
    )
    assert (outcome["state"], outcome["steps"]) == ("complete", 8)
    assert [point for point, _ in looks] == [1, 2, 3]
    assert outcome["val_loss"] <= min(loss for _, loss in looks)
    assert math.isfinite(outcome["seconds"])
    # what has ended goes on from its last checkpoint: it is trained no further and not compared again
    again = worker.run_trial(trial(tiny_run), prepared, tmp_path, "cpu", events.append, lambda *point: 1 / 0)
    assert again["val_loss"] == outcome["val_loss"]


def test_a_trial_that_diverges_says_so(tiny_run, prepared, tmp_path):
    config = trial(tiny_run, "train.learning_rate=1e30")
    outcome = worker.run_trial(config, prepared, tmp_path, "cpu", lambda event: None, lambda *point: False)
    assert outcome["state"] == "diverged"
    assert "diverged" in outcome["message"] and "--fresh" not in outcome["message"]


def test_a_worker_answers_trial_by_trial_and_gives_up_what_it_is_told_to(tiny_run, prepared, tmp_path):
    job = {"config": to_data(trial(tiny_run).settings)}
    inbox = [
        {"config_path": "c.yaml", "prepared": str(prepared.path), "device": "cpu", "threads": 1},
        job | {"folder": str(tmp_path / "first")},
        {"prune": False},
        {"prune": True},
        job | {"folder": str(tmp_path / "second")},
        *[{"prune": False}] * 3,
        {"stop": True},
    ]
    sent = []
    worker._serve(lambda: inbox.pop(0), sent.append)
    assert not inbox
    shown = [event.get("point") or event["state"] for event in sent if event["event"] in ("look", "ended")]
    assert shown == [1, 2, "pruned", 1, 2, 3, "complete"]
    [pruned] = [event["message"] for event in sent if event.get("state") == "pruned"]
    assert pruned.startswith("pruned at 50 % with val_loss ")
