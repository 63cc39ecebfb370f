"""What a command shows of its result."""

from llmkit.cli import show


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
