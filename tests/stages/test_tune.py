"""The search: the config's own settings first, resumable, the winner as a model folder."""

from llmkit.cli import show
from llmkit.config import schema as configs
from llmkit.stages import tune as stage
from llmkit.store import model_folder

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


def test_the_best_trials_are_shown_and_always_the_config_s_own(capsys):
    rows = [
        {"trial": n, "state": "complete", "val_loss": 2.0 - n / 10, "settings": {"model.layers": n}} for n in range(8)
    ]
    rows[0]["own"] = True
    rows[7] |= {"state": "diverged", "val_loss": None}
    show.trials({"stage": "tune", "folder": "runs/a/tuned", "trials": rows, "default_val_loss": 2.0})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:8]] == ["6", "5", "4", "3", "2", "0"]
    assert lines[7].startswith("0 (own)")
    assert lines[8].startswith("and 2 more in runs/a/tuned")
