"""The search: defaults first, resumable, the winner as a model folder; bad ranges refused before anything runs."""

import json

import pytest
import yaml

from llmkit import config as configs, model_folder
from llmkit.errors import ConfigError, InputError
from llmkit.stages import tune as stage

SEARCH = [
    "tune.trials=3",
    "tune.search={train.learning_rate: {low: 1.0e-3, high: 1.0e-1, log: true}, model.hidden_size: {choices: [8, 16]}}",
]


def load(run, *overrides):
    return configs.load(run.config, [*SEARCH, "train.steps=8", *overrides])


def test_the_search_tries_the_defaults_first_and_leaves_a_model_folder(tiny_copy):
    result = stage.tune(load(tiny_copy))
    assert [row["trial"] for row in result["trials"]] == [0, 1, 2]
    assert result["trials"][0]["settings"] == {"train.learning_rate": 0.01, "model.hidden_size": 16}
    done = [row for row in result["trials"] if row["state"] == "complete"]
    best = min(done, key=lambda row: row["val_loss"])
    assert (result["best_trial"], result["best_settings"]) == (best["trial"], best["settings"])
    assert result["steps"] == 8  # the winner at the full budget
    folder = model_folder.read(tiny_copy.run_dir / "tuned")
    assert folder.trainable
    assert folder.config.settings.train.learning_rate == best["settings"]["train.learning_rate"]
    written = configs.load(folder.path / "best.yaml")
    assert written.settings.model.hidden_size == best["settings"]["model.hidden_size"]
    assert len((folder.path / "trials.jsonl").read_text().splitlines()) == 3
    assert stage.tune(load(tiny_copy))["up_to_date"]
    more = stage.tune(load(tiny_copy, "tune.trials=4"))
    assert more["trials"][:3] == result["trials"]  # goes on from the study on disk
    assert len(more["trials"]) == 4


def test_an_interrupted_trial_is_put_back_and_a_torn_journal_line_cut_off(tiny_copy):
    import optuna

    config = load(tiny_copy)
    prepared = stage.freshness.read_prepared(config)
    folder = tiny_copy.run_dir / "work" / "tune"
    study = stage.open_study(config, prepared, folder, fresh=False)
    trial = study.ask()
    values = {key: stage.suggest(trial, key, config) for key in config.settings.tune.search}
    with (folder / "journal.log").open("a") as file:
        file.write('{"op_code": 5, "half a li')  # the process is killed here
    study = stage.open_study(config, prepared, folder, fresh=False)
    assert study.trials[0].state == optuna.trial.TrialState.FAIL
    again = study.ask()
    assert {key: stage.suggest(again, key, config) for key in values} == values


def test_a_study_of_other_settings_is_refused_with_the_difference(tiny_copy):
    config = load(tiny_copy)
    prepared = stage.freshness.read_prepared(config)
    folder = tiny_copy.run_dir / "work" / "tune"
    stage.open_study(config, prepared, folder, fresh=False)
    other = load(tiny_copy, "train.batch_size=2")
    with pytest.raises(InputError, match=r"(?s)train.batch_size: 4 → 2.*--fresh"):
        stage.open_study(other, prepared, folder, fresh=False)
    stage.open_study(other, prepared, folder, fresh=True)
    assert json.loads((folder / "study.json").read_text())["identity"]["train"]["batch_size"] == 2
    stage.mark_finished(folder)
    study = stage.open_study(config, prepared, folder, fresh=False)  # a finished one gives way
    assert len(study.trials) == 1


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"train.learning_rat": {"low": 1e-3, "high": 1e-2}}, "learning_rat"),
        ({"train.learning_rate": {"low": -1.0, "high": 1e-2}}, "expected a number"),
        ({"prepare.files": {"choices": ["a", "b"]}}, "only keys of model and train"),
    ],
)
def test_a_search_over_wrong_keys_or_values_is_refused_at_once(tiny_copy, search, message):
    config = configs.load(tiny_copy.config, [f"tune.search={yaml.safe_dump(search, default_flow_style=True)}"])
    with pytest.raises(ConfigError, match=message):
        stage.tune(config)
