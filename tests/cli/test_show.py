"""What is printed of results made by hand: models side by side, one model, requirements that are missed."""

import json

import pytest
import typer

from llmkit.cli import show

COLUMNS = [("size_bytes", "size", True), ("accuracy", "accuracy", False), ("roc_auc", "ROC AUC", False)]


@pytest.fixture
def result():
    rows = [
        {"name": "model", "model": "runs/a/model", "size_bytes": 400_000, "accuracy": 0.5, "roc_auc": None},
        {"name": "int8", "model": "runs/a/compressed/int8", "size_bytes": 100_000, "accuracy": 0.45, "roc_auc": None},
        {"name": "tiny", "model": "runs/a/compressed/tiny", "size_bytes": 1_000, "accuracy": 0.25, "roc_auc": None},
    ]
    return {"stage": "evaluate", "models": [row | {"unmet": []} for row in rows]}


def test_models_side_by_side_in_the_columns_that_have_figures(result, capsys):
    show.compared(result, COLUMNS)
    assert capsys.readouterr().out == (
        "model  size                      accuracy\n"
        "-----  ------------------------  -----------------\n"
        "model  0.40 MB                   0.5000\n"
        "int8   0.10 MB (4.00× smaller)   0.4500 (-10.00 %)\n"
        "tiny   1.0 kB (400.00× smaller)  0.2500 (0.50×)\n"
    )


def test_a_figure_that_one_model_lacks(result, capsys):
    result["models"][1].pop("accuracy")
    result["models"][2]["accuracy"] = None
    show.compared(result, COLUMNS[1:2])
    assert [line.split() for line in capsys.readouterr().out.splitlines()[2:]] == [
        ["model", "0.5000"],
        ["int8", "-"],
        ["tiny", "-"],
    ]


def test_models_of_one_name_are_called_by_their_folders(result, capsys):
    for row in result["models"]:
        row["name"] = "model"
    show.compared(result, COLUMNS[1:2])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == [row["model"] for row in result["models"]]


def test_the_figures_of_one_model(result, capsys):
    result["models"] = result["models"][1:2]
    show.evaluated(result)
    assert capsys.readouterr().out == (
        "evaluate: done  runs/a/compressed/int8\n"
        "  name        int8\n"
        "  size_bytes  0.10 MB (100,000)\n"
        "  accuracy    0.4500\n"
        "  roc_auc     -\n"
    )


@pytest.mark.parametrize("as_json", [False, True])
def test_a_requirement_that_is_missed_ends_the_command_after_its_result(result, capsys, as_json):
    result["models"] = result["models"][:1]
    with pytest.raises(typer.Exit) as ended:
        show.print_required(["model: accuracy is 0.5"], result, as_json, show.evaluated)
    out, err = capsys.readouterr()
    message = "a requirement is not met: model: accuracy is 0.5"
    assert (ended.value.exit_code, err) == (4, f"error: {message}\n")
    if as_json:
        row = {key: value for key, value in result["models"][0].items() if key != "unmet"}
        assert json.loads(out) == {"stage": "evaluate", **row, "error": {"code": 4, "message": message}}
    else:
        assert out.startswith("evaluate: done  runs/a/model\n")


def test_where_no_requirement_is_missed_the_command_goes_on(result, capsys):
    show.print_required([], result, True, show.evaluated)
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == (result, "")


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
