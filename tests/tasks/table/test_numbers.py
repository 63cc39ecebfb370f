"""`task: table` of numbers through the command line: metrics, intervals, variants, folds, weights, bad input."""

import csv
import io
import json

import numpy as np
import pytest
from small_learners import CPU, network_logits, read_all
from small_runs import without_torch

import llmkit as package
from llmkit.data import encoding
from llmkit.errors import ConfigError
from llmkit.predicting import numbers
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.tasks.table import compress, evaluate, use
from llmkit.tasks.table.train import learner

ROW = {"size": 20, "town": "north"}  # 80, give or take 2


def overridden(run, tmp_path, *more):
    return [run.config, f"run_dir={tmp_path / 'run'}", *more]


# --- what it gives ------------------------------------------------------------------------------------------


def test_the_metrics_of_the_contract_beside_their_baselines(number_run, llmkit):
    models = ("model", "int8", "sparse", "student")
    options = [word for name in models for word in ("--model", name)]
    rows = llmkit("evaluate", number_run.config, *options, "--json").json["models"]
    for row in rows:
        assert {
            "rmse",
            "mae",
            "r2",
            "median_absolute_error",
            "coverage",
            "interval_width",
            "pinball_loss",
        } <= row.keys()
        assert row["examples"] == 60 and row["interval"] == 0.9 and row["r2"] > 0.9
        assert row["baselines"]["linear"]["rmse"] < 2.5  # it is the truth's own form
        assert row["baselines"]["constant"]["rmse"] > 20 > row["rmse"]
    assert rows[0]["rmse"] < 5
    assert abs(rows[0]["rmse"] - rows[1]["rmse"]) < 0.5
    table = llmkit("evaluate", number_run.config, *options).out.splitlines()
    assert table[0].split()[2:4] == ["RMSE", "MAE"] and "accuracy" not in table[0]


def test_predictions_with_intervals_in_every_form(number_run, llmkit):
    model = package.load(number_run.int8)
    assert repr(model) == f"Regressor({str(number_run.int8)!r}, predicts price)"
    one = model.predict(ROW)
    assert one["lower"] < one["prediction"] < one["upper"] and abs(one["prediction"] - 80) < 10
    narrow, wide = model.predict(ROW, interval=0.5), model.predict([ROW], interval=0.95)[0]
    assert narrow["prediction"] == one["prediction"] == wide["prediction"]
    assert narrow["upper"] - narrow["lower"] < one["upper"] - one["lower"] <= wide["upper"] - wide["lower"]
    with pytest.raises(ConfigError, match=r"coverage 0.99 cannot be told from 30 validation examples; ask for 0.967"):
        model.predict(ROW, interval=0.99)
    row = json.dumps(ROW)
    table = llmkit("generate", number_run.model, "--prompt", row).out.splitlines()
    assert table[0].split() == ["row", "prediction", "lower", "upper"]
    as_csv = llmkit("generate", number_run.model, "--prompt", row, "--output", "csv", "--interval", "0.5").out
    [found] = csv.DictReader(io.StringIO(as_csv))
    [line] = llmkit("generate", number_run.model, "--prompt", row, "--jsonl", "--interval", "0.5").out.splitlines()
    assert {key: float(value) for key, value in found.items()} == json.loads(line)
    assert llmkit("generate", number_run.model, "--prompt", row, "--interval", "0.999").code == 2


def test_it_predicts_without_torch(number_run, tmp_path):
    ran = without_torch(f"import llmkit; llmkit.load({str(number_run.model)!r}).predict({ROW!r})", tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_graph_and_files_give_what_the_network_gives(number_run):
    folder, prepared = experiments.read_model(number_run.model), Files(number_run.run_dir / "prepared")
    made = learner(prepared, folder.settings, CPU, pytest.fail)
    compress.load(made, folder.weights())
    model, val = use.load(folder), evaluate.of_split(folder, prepared, "val")
    outputs = model.outputs(read_all(model, val))
    np.testing.assert_allclose(outputs, network_logits(made), rtol=1e-4, atol=1e-4)
    answers = model.answers(read_all(model, val))
    np.testing.assert_allclose(answers[:, 0], numbers.read(folder).scale.from_z(outputs[:, 0]))
    within = ((answers[:, 1] <= val.targets) & (val.targets <= answers[:, 2])).mean()
    assert within == 28 / 30  # of the very examples that the reach is from
    assert evaluate.validation_loss(folder, prepared, lambda *_: None) == pytest.approx(folder.result["val_loss"])


def test_a_pruned_model_has_intervals_of_its_own(number_run):
    """Fitted to its own outputs on the validation split, so that they cover as many."""
    for name in ("sparse", "student"):
        folder = experiments.read_model(number_run.run_dir / "compressed" / name)
        assert numbers.read(folder).scores != numbers.read(experiments.read_model(number_run.model)).scores
        model, val = use.load(folder), evaluate.of_split(folder, Files(number_run.run_dir / "prepared"), "val")
        answers = model.answers(read_all(model, val))
        assert ((answers[:, 1] <= val.targets) & (val.targets <= answers[:, 2])).mean() == 28 / 30


def test_folds_have_the_metrics_of_numbers_and_learn_from_their_own_rows(number_run, tmp_path):
    run = experiments.load(number_run.config, [f"run_dir={tmp_path}", "train.folds=2", "train.steps=5"])
    prepare(run)
    found = train(run)
    assert {"rmse", "mae", "r2", "coverage", "pinball_loss"} <= found["folds"][0].keys()
    assert "accuracy" not in found["folds"][0]
    assert found["mean_rmse"] == np.mean([row["rmse"] for row in found["folds"]])


# --- what is prepared ---------------------------------------------------------------------------------------


def test_many_different_numbers_are_predicted_as_numbers_and_it_is_said(number_run, tmp_path, llmkit):
    ran = llmkit("prepare", *overridden(number_run, tmp_path, "prepare.predict=auto"))
    assert "the column 'price' has 295 different numbers, so numbers are predicted" in " ".join(ran.err.split())
    prepared = Files(tmp_path / "run" / "prepared")
    meta = prepared.read_json("meta.json")
    assert (meta["predicts"], meta["target"], meta["labels"]) == ("number", "plain", [])
    targets, of = prepared.array("targets.npy"), prepared.array("split.npy")
    assert meta["target_mean"] == pytest.approx(targets[of == 0].mean())
    assert [column.name for column in encoding.load(prepared).numbers] == ["size"]


def test_weights_make_rows_count_and_are_no_input(number_run, tmp_path, llmkit):
    more = ["prepare.weight=copies", "prepare.ignore=[]", "train.steps=2"]
    assert llmkit("prepare", *overridden(number_run, tmp_path, *more)).code == 0
    prepared = Files(tmp_path / "run" / "prepared")
    assert set(prepared.array("weights.npy")) == {1.0, 2.0, 3.0}
    assert prepared.read_json("meta.json")["columns"] == {"size": "number", "town": "category"}
    assert llmkit("train", *overridden(number_run, tmp_path, *more)).code == 0


@pytest.mark.parametrize("settings", ["train.loss=absolute", "train.loss=quantile", "prepare.target=log"])
def test_other_losses_and_a_logarithm_predict_too(number_run, tmp_path, llmkit, settings):
    for stage in ("prepare", "train"):
        assert llmkit(stage, *overridden(number_run, tmp_path, settings, "train.epochs=8")).code == 0
    found = llmkit("evaluate", *overridden(number_run, tmp_path, settings), "--json").json
    assert found["r2"] > 0.5


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "overrides", "code", "message"),
    [
        ("size,price\n1,2\n2,much\n3,4\n", [], 3, "line 3, column 'price': 'much' is no finite number; mend it"),
        ("size,price\n1,2\n2,inf\n3,4\n", [], 3, "line 3, column 'price': 'inf' is no finite number"),
        ("size,price\n" + "1,2\n2,2\n" * 20, [], 3, "training examples have the number 2: there is nothing to learn"),
        ("size,price\n" + "1,-2\n2,3\n" * 9, ["prepare.target=log"], 3, "log needs numbers above 0, and the column"),
        ("size,price,w\n1,2,0\n", ["prepare.weight=w"], 3, "line 2, column 'w' (prepare.weight): '0' is no number abo"),
        ("size,price\n1,2\n", ["prepare.weight=w"], 3, "there is no column 'w' (prepare.weight); there are: size, pr"),
        (
            "size,price\n1,2\n",
            ["prepare.weight=w", "prepare.predict=label"],
            2,
            "prepare.weight is for numbers; labels",
        ),
    ],
)
def test_mistakes_in_a_table_of_numbers(number_run, tmp_path, llmkit, table, overrides, code, message):
    file = tmp_path / "rows.csv"
    file.write_text(table)
    more = [f"prepare.files={file}", "prepare.ignore=[]", *overrides]
    ran = llmkit("prepare", *overridden(number_run, tmp_path, *more))
    assert ran.code == code and message in " ".join(ran.err.split()), ran.err


def test_settings_of_labels_are_refused_for_numbers(number_run, llmkit):
    ran = llmkit("train", number_run.config, "train.class_weights=balanced")
    assert ran.code == 2 and "train.class_weights is for labels, and 'price' is a number" in " ".join(ran.err.split())


def test_a_model_of_labels_is_no_start_for_numbers(number_run, table_run, llmkit):
    ran = llmkit("train", number_run.config, f"train.start_from={table_run.model}")
    assert ran.code == 3 and "has other labels than the prepared data" in " ".join(ran.err.split())


def test_explanations_of_numbers_are_in_their_unit(number_run, llmkit):
    found = package.load(number_run.model).explain({"size": 40, "town": "north"})
    parts = {part["column"]: part["contribution"] for part in found["explanation"]["parts"]}
    assert found["explanation"]["of"] == "price"
    assert found["explanation"]["baseline"] + sum(parts.values()) == pytest.approx(found["prediction"], rel=1e-5)
    assert 20 < parts["size"] < 70  # 3 for each of the 15 above the median
    with pytest.raises(ConfigError, match="there is no label to explain"):
        package.load(number_run.model).explain({"size": 40, "town": "north"}, label="price")
    scored = llmkit("evaluate", number_run.config, "evaluate.explain=20", "--json").json
    assert next(iter(scored["importance"])) == "size" and scored["explanations"]["loss_of_top_tenth"] > 0
