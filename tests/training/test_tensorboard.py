"""Event files of a training, read back with TensorBoard's own reader."""

import logging

import pytest

from llmkit.errors import ConfigError, Interrupted
from llmkit.fitting.setup import deciding
from llmkit.tasks import experiment as experiments
from llmkit.training import loop, tensorboard

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")


def curves(folder):
    """{tag: [(step, value), …]} of all event files in a folder, in the order of the files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # that it drops steps done again
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def steps(folder, tag):
    return [step for step, _ in curves(folder)[tag]]


def step_event(step, seconds, tokens):
    return {"event": "step", "step": step, "loss": 4.0 / step, "learning_rate": 0.1 * step, "spent": 0.0} | {
        "seconds": seconds,
        "tokens": tokens,
    }


def val_event(step, seconds, tokens):
    return {"event": "validated", "best": True, "step": step, "tokens": tokens, "seconds": seconds} | {
        "train_loss": 1.0,
        "val_loss": 3.0,
        "val_accuracy": 0.25,
    }


def test_events_become_curves_and_are_passed_on(tmp_path):
    events = [step_event(1, 1.0, 100), step_event(2, 3.0, 500), val_event(2, 8.0, 500), step_event(4, 10.0, 900)]
    seen = []
    with tensorboard.recording(True, tmp_path / "t", "tokens", seen.append) as report:
        for event in events:
            report(event)
    assert seen == events
    found = curves(tmp_path / "t")
    assert found == {
        "train/loss": [(1, 4.0), (2, 2.0), (4, 1.0)],
        "train/learning_rate": [(step, pytest.approx(0.1 * step)) for step in (1, 2, 4)],
        # 400 tokens in 2 s; then 400 in the 2 s since validation ended
        "train/tokens_per_second": [(2, 200.0), (4, 200.0)],
        "val/loss": [(2, 3.0)],
        "val/accuracy": [(2, 0.25)],
    }


def test_a_speed_is_not_measured_over_a_moment(tmp_path):
    with tensorboard.recording(True, tmp_path, "tokens", lambda event: None) as report:
        for event in (step_event(1, 1.0, 100), step_event(2, 1.001, 200), step_event(3, 2.0, 400)):
            report(event)
    assert curves(tmp_path)["train/tokens_per_second"] == [(3, 300.0)]


def test_a_resumed_run_goes_on_after_its_checkpoint_without_duplicates(tmp_path):
    for first, begin in (({"event": "resumed", "step": 2, "seconds": 2.0}, 3), (None, 1)):
        folder = tmp_path / str(begin)
        with tensorboard.recording(True, folder, "tokens", lambda event: None) as report:
            for step in range(1, 6):  # the checkpoint is of step 2; the crash comes after step 5
                report(step_event(step, step, step))
        with tensorboard.recording(True, folder, "tokens", lambda event: None) as report:
            for event in [*([first] if first else []), *(step_event(step, step, step) for step in range(begin, 5))]:
                report(event)
        assert steps(folder, "train/loss") == [1, 2, 3, 4]
        assert len(list(folder.iterdir())) == (2 if first else 1)  # a run that begins anew keeps nothing


def test_train_writes_them_through_an_interruption(llmkit, tiny_fresh, monkeypatch):
    """The command line, interrupted after the checkpoint of step 4 with step 5 already written."""
    monkeypatch.setattr(loop, "LOG_SECONDS", 0.0)
    assert llmkit("prepare", tiny_fresh.config).code == 0
    keys = ["train.steps=12", "train.checkpoint_steps=4", "train.validation_steps=3"]
    report = loop._Run.step

    def step_then_stop(self, rate, spent):
        report(self, rate, spent)
        if self.progress.step == 5:
            raise Interrupted("as a kill would")  # without a checkpoint of its own

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "step", step_then_stop)
        ran = llmkit("train", tiny_fresh.config, *keys, "train.tensorboard=true")
        assert ran.code == 130
    folder = tiny_fresh.run_dir / "work" / "train" / "tensorboard"
    assert f"tensorboard --logdir {folder}" in ran.err
    assert steps(folder, "train/loss") == [1, 2, 3, 4, 5]
    ran = llmkit("train", tiny_fresh.config, *keys, "train.tensorboard=true", "--json")
    assert ran.code == 0
    assert "going on from step 4" in ran.err
    found = curves(folder)
    assert [step for step, _ in found["train/loss"]] == list(range(1, 13))
    assert [step for step, _ in found["val/loss"]] == [3, 6, 9, 12]
    assert min(value for _, value in found["val/loss"]) == pytest.approx(ran.json["val_loss"], rel=1e-6)
    assert llmkit("train", tiny_fresh.config, *keys, "--json").json["up_to_date"]  # shown or not, it is the same model


def test_it_is_no_part_of_what_a_model_is(tiny_fresh):
    on, off = (experiments.load(tiny_fresh.config, [f"train.tensorboard={value}"]) for value in ("true", "false"))
    assert deciding(on.settings) == deciding(off.settings)


def test_nothing_is_written_unless_asked_for(tmp_path):
    def report(event):
        pass

    with tensorboard.recording(False, tmp_path / "t", "tokens", report) as given:
        assert given is report
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("stage", ["train", "tune"])
def test_asked_for_and_not_installed(llmkit, tiny_copy, monkeypatch, stage):
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(ConfigError):
        tensorboard.require(True)
    ran = llmkit(stage, tiny_copy.config, "train.tensorboard=true", "train.steps=6")
    assert ran.code == 2
    assert "pip install '.[tensorboard]'" in ran.error
    assert not list((tiny_copy.run_dir / "work").rglob("events.*"))
