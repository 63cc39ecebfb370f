"""The search: the config's own settings first, resumable, the winner as a model folder."""

import signal

import pytest
import yaml

from llmkit.stages import tune as stage
from llmkit.tasks import experiment as experiments

SEARCH = [
    "tune.trials=3",
    "tune.search={train.learning_rate: {low: 1.0e-3, high: 1.0e-1, log: true}, model.hidden_size: {choices: [8, 16]}}",
]


def load(run, *overrides):
    return experiments.load(run.config, [*SEARCH, "train.steps=8", *overrides])


def test_the_search_tries_the_defaults_first_and_leaves_a_model_folder(tiny_copy):
    result = stage.tune(load(tiny_copy))
    assert [row["trial"] for row in result["trials"]] == [0, 1, 2]
    assert result["trials"][0]["settings"] == {"train.learning_rate": 0.01, "model.hidden_size": 16}
    done = [row for row in result["trials"] if row["state"] == "complete"]
    best = min(done, key=lambda row: row["val_loss"])
    assert (result["best_trial"], result["best_settings"]) == (best["trial"], best["settings"])
    assert result["default_val_loss"] == result["trials"][0]["val_loss"] >= result["best_trial_val_loss"]
    assert result["steps"] == 8  # the winner at the full budget
    folder = experiments.read_model(tiny_copy.run_dir / "tuned")
    assert folder.trainable
    assert folder.settings.train.learning_rate == best["settings"]["train.learning_rate"]
    written = experiments.load(folder.path / "best.yaml")
    assert written.settings.model.hidden_size == best["settings"]["model.hidden_size"]
    assert len((folder.path / "trials.jsonl").read_text().splitlines()) == 3
    assert stage.tune(load(tiny_copy, "tune.workers=2"))["up_to_date"]
    more = stage.tune(load(tiny_copy, "tune.trials=4"))
    assert more["trials"][:3] == result["trials"]  # goes on from the study on disk
    assert len(more["trials"]) == 4


CHOICES = ["tune.trials=3", "tune.trial_budget=0.4", "tune.search={train.learning_rate: {choices: [0.01, 0.001, 0.1]}}"]


def test_a_search_is_done_up_to_date_redone_and_interrupted(llmkit, tiny_copy, signalled):
    ran = llmkit("tune", tiny_copy.config, *CHOICES, "--json")
    assert ran.code == 0
    found = ran.json
    assert [trial["trial"] for trial in found["trials"]] == [0, 1, 2]
    assert found["trials"][0]["settings"] == {"train.learning_rate": 0.01}  # the config's own comes first
    best = min(
        (trial for trial in found["trials"] if trial["state"] == "complete"), key=lambda trial: trial["val_loss"]
    )
    assert (found["best_trial"], found["best_settings"]) == (best["trial"], best["settings"])
    assert found["steps"] == 5  # the winner at the full budget, the trials at two fifths of it
    assert llmkit("tune", tiny_copy.config, *CHOICES, "--json").json == found | {"up_to_date": True}
    settings = yaml.safe_load((tiny_copy.run_dir / "tuned" / "best.yaml").read_text())
    assert settings["train"]["learning_rate"] == best["settings"]["train.learning_rate"]
    assert llmkit("generate", tiny_copy.config, "--model", "tuned").code == 0
    # a longer search goes on, another one starts anew, an interrupted one is gone on with
    longer = ["tune.trials=4", *CHOICES[1:]]
    assert llmkit("tune", tiny_copy.config, *longer, "--json").json["trials"][:3] == found["trials"]
    signalled(signal.SIGINT, at=3)
    assert llmkit("tune", tiny_copy.config, *CHOICES, "train.batch_size=2").code == 130
    assert llmkit("tune", tiny_copy.config, *CHOICES, "train.batch_size=3").code == 3
    ran = llmkit("tune", tiny_copy.config, *CHOICES, "train.batch_size=2", "--json")
    assert ran.code == 0
    assert "trial 1 of 3" not in ran.err
    assert len(ran.json["trials"]) == 3


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            "{train.learning_rat: {low: 1, high: 2}}",
            "train.learning_rat: there is no such key; did you mean learning_rate?",
        ),
        ("{prepare.clean: {choices: [none]}}", "prepare.clean: only keys of model and train can be searched"),
        ("{model.dropout: {low: 0.5, high: 1.5}}", "tune.search: model.dropout: expected a number < 1.0, got 1.5"),
        ("{model.layers: {choices: [1, two]}}", "model.layers: expected a whole number, got text 'two'"),
    ],
)
def test_a_search_that_cannot_be(llmkit, tiny_copy, search, message):
    ran = llmkit("tune", tiny_copy.config, f"tune.search={search}")
    assert ran.code == 2
    assert message in ran.error
    assert not (tiny_copy.run_dir / "tuned").exists()
