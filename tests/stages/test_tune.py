"""The search: the config's own settings first, resumable, the winner as a model folder."""

from llmkit import config as configs, model_folder
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
    assert result["default_val_loss"] == result["trials"][0]["val_loss"] >= result["best_trial_val_loss"]
    assert result["steps"] == 8  # the winner at the full budget
    folder = model_folder.read(tiny_copy.run_dir / "tuned")
    assert folder.trainable
    assert folder.config.settings.train.learning_rate == best["settings"]["train.learning_rate"]
    written = configs.load(folder.path / "best.yaml")
    assert written.settings.model.hidden_size == best["settings"]["model.hidden_size"]
    assert len((folder.path / "trials.jsonl").read_text().splitlines()) == 3
    assert stage.tune(load(tiny_copy, "tune.workers=2"))["up_to_date"]
    more = stage.tune(load(tiny_copy, "tune.trials=4"))
    assert more["trials"][:3] == result["trials"]  # goes on from the study on disk
    assert len(more["trials"]) == 4
