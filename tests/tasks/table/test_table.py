"""`task: table` through the command line: metrics, predictions in every form, folds, and every kind of bad input."""

import csv
import io
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from small_runs import without_torch

import llmkit as package
from llmkit.data import encoding, splits
from llmkit.errors import InputError
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store.files import Files
from llmkit.tasks import TASKS, experiment as experiments

ROW = {"income": 80, "debt": 20, "home": "own"}


# --- what it gives ------------------------------------------------------------------------------------------


def test_the_metrics_of_the_contract_and_what_int8_keeps_of_them(table_run, llmkit):
    rows = llmkit("evaluate", table_run.config, "--model", "model", "--model", "int8", "--json").json["models"]
    keys = "accuracy macro_f1 roc_auc log_loss calibration_error confusion examples size_bytes examples_per_second"
    for row in rows:
        assert {*keys.split(), "latency_ms"} <= row.keys()
        assert row["accuracy"] > 0.85 and row["examples"] == 48
        assert sum(sum(counts.values()) for counts in row["confusion"].values()) == 48
    assert abs(rows[0]["log_loss"] - rows[1]["log_loss"]) < 0.05
    weights = experiments.read_model(table_run.int8).weights()
    assert weights["matrices.0"].dtype == np.int8


def test_members_are_told_from_others_by_labels_and_by_numbers(table_run, number_run, llmkit):
    for run in (table_run, number_run):
        ran = llmkit("evaluate", run.model, "evaluate.membership=40", "--json")
        assert 0.3 < ran.json["membership_auc"] < 0.8
        assert 0 <= ran.json["membership_tpr"] <= 1
        assert ran.json["membership_examples"] == [40, 40]
    assert "membership_auc" not in llmkit("evaluate", table_run.model, "--json").json


def test_evaluate_of_several_models_is_a_table(table_run, llmkit):
    ran = llmkit("evaluate", table_run.model, table_run.int8, "--on", table_run.table)
    assert ran.code == 0 and "calibration error" in ran.out.splitlines()[0]


def test_predict_from_a_program(table_run):
    model = package.load(table_run.int8)
    one = model.predict(ROW)
    assert one["label"] == "good" and one["probability"] == one["probabilities"]["good"] > 0.5
    assert sum(one["probabilities"].values()) == pytest.approx(1)
    with pytest.warns(UserWarning, match="row 2, column 'home': 'castle': seldom or never seen in training"):
        several = model.predict([ROW, ROW | {"income": None, "home": "castle"}])
    assert several[0]["label"] == "good" and len(several) == 2
    assert model.predict([]) == []
    with pytest.raises(InputError, match="predict takes an example or a list of examples, not int"):
        model.predict(5)


def test_predictions_as_table_csv_and_json_lines(table_run, llmkit):
    row = json.dumps(ROW)
    assert llmkit("generate", table_run.model, "--prompt", row).out.splitlines()[0].split() == [
        *("row", "label", "probability", "p(bad)", "p(good)")
    ]
    [found] = csv.DictReader(io.StringIO(llmkit("generate", table_run.model, "--prompt", row, "--output", "csv").out))
    lines = llmkit("generate", table_run.model, "--prompt", row, "--output", "jsonl").out
    assert lines == llmkit("generate", table_run.model, "--prompt", row, "--jsonl").out
    assert float(found["probability"]) == json.loads(lines)["probability"]
    result = llmkit("generate", table_run.model, "--prompt", row, "--json").json
    assert result["predictions"] == [json.loads(lines)] and result["engine"] == "onnxruntime"


def test_rows_from_a_file_and_from_standard_input_are_predicted_alike(table_run, llmkit):
    by_file = llmkit("generate", table_run.model, "--prompt-file", table_run.table, "--jsonl")
    by_input = llmkit("generate", table_run.model, "--prompt", "-", "--jsonl", stdin=table_run.table.read_bytes())
    dash = llmkit("generate", table_run.model, "--prompt-file", "-", "--jsonl", stdin=table_run.table.read_bytes())
    assert by_file.out == by_input.out == dash.out and len(by_file.out.splitlines()) == 240


def test_it_predicts_without_torch(table_run, tmp_path):
    ran = without_torch(f"import llmkit; llmkit.load({str(table_run.model)!r}).predict({ROW!r})", tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_what_is_learnt_comes_from_the_training_rows_alone(table_run):
    prepared = table_run.run_dir / "prepared"
    of = np.load(prepared / "split.npy")
    debts = np.load(prepared / "numbers.npy")[:, 1]
    knots = encoding.load(Files(prepared)).numbers[1].maps[1][0]  # mean -+ 4 deviations
    trained = debts[of == 0]
    assert np.mean(knots) == pytest.approx(trained.mean())
    assert np.ptp(knots) == pytest.approx(8 * trained.std())
    assert (prepared / "columns.json").read_bytes() == (table_run.model / "columns.json").read_bytes()


def test_the_same_settings_give_the_same_bytes(table_run, table_fresh):
    loaded = experiments.load(table_fresh.config)
    prepare(loaded)
    train(loaded)
    for name in ("model.safetensors", "labels.json", "columns.json", "graph.onnx"):
        assert (table_fresh.model / name).read_bytes() == (table_run.model / name).read_bytes()


# --- folds --------------------------------------------------------------------------------------------------


def test_folds_are_in_the_result_and_go_on_after_an_interruption(table_fresh, llmkit, monkeypatch):
    from llmkit.fitting.fit import fit
    from llmkit.stages import folds as stage

    assert llmkit("prepare", table_fresh.config).code == 0
    trained = []

    def interrupted(*arguments, **how):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(1)
        return fit(*arguments, **how)

    monkeypatch.setattr(stage, "fit", SimpleNamespace(fit=interrupted))
    more = ["train.folds=3", "train.epochs=4"]
    assert llmkit("train", table_fresh.config, *more).code == 130
    counted = SimpleNamespace(fit=lambda *a, **how: (trained.append(2), fit(*a, **how))[1])
    monkeypatch.setattr(stage, "fit", counted)
    result = llmkit("train", table_fresh.config, *more, "--json").json
    assert trained == [1, 1, 2]  # the finished folds are not trained again
    assert [row["fold"] for row in result["folds"]] == [1, 2, 3]
    for name in ("accuracy", "macro_f1", "roc_auc", "log_loss", "calibration_error"):
        assert result[f"mean_{name}"] == pytest.approx(np.mean([row[name] for row in result["folds"]]))
    assert not (table_fresh.run_dir / "work" / "folds").exists()
    again = llmkit("train", table_fresh.config, *more, "--json").json
    assert again["up_to_date"] and again["folds"] == result["folds"]


def test_a_fold_learns_its_scaling_from_its_own_training_rows(table_run, tmp_path):
    settings = experiments.load(table_run.config).settings.prepare
    TASKS["table"].folds.fold(Files(table_run.run_dir / "prepared"), tmp_path, 2, 3, settings, 1)
    labels = np.load(tmp_path / "labels.npy")
    of = np.load(tmp_path / "split.npy")
    assert ((of == 2) == (splits.folds(labels, 3, 1) == 1)).all()
    debts = np.load(tmp_path / "numbers.npy")[:, 1]
    knots = encoding.load(Files(tmp_path)).numbers[1].maps[1][0]
    assert np.mean(knots) == pytest.approx(debts[of == 0].mean())


# --- start_from, tune ---------------------------------------------------------------------------------------


def test_it_starts_from_a_trained_model(table_run, table_fresh, llmkit):
    assert llmkit("prepare", table_fresh.config).code == 0
    start = f"train.start_from={table_run.model}"
    result = llmkit("train", table_fresh.config, start, "train.steps=1", "train.learning_rate=1e-9", "--json").json
    first = experiments.read_model(table_run.model)
    assert result["val_loss"] == pytest.approx(first.result["val_loss"], rel=1e-3)
    ran = llmkit("train", table_fresh.config, start, "model.hidden_size=8")
    assert ran.code == 3 and "has other sizes than the section model" in ran.error
    table_fresh.table.write_text(table_fresh.table.read_text().replace("rent", "let"))
    llmkit("prepare", table_fresh.config)
    ran = llmkit("train", table_fresh.config, start)
    assert ran.code == 3 and "has other columns of categories" in ran.error


def test_the_search_runs(table_fresh, llmkit):
    assert llmkit("prepare", table_fresh.config).code == 0
    ran = llmkit("tune", table_fresh.config, "tune.trials=2", "train.epochs=4", "--json")
    assert ran.code == 0 and len(ran.json["trials"]) == 2


# --- bad input ----------------------------------------------------------------------------------------------

HEAD = "income,debt,home,risk\n"
GOOD = "".join(f"{k},{k % 7},own,{'good' if k % 2 else 'bad'}\n" for k in range(20))


@pytest.mark.parametrize(
    ("text", "override", "code", "message"),
    [
        (HEAD + "1,2,own,good\n" * 30, "", 3, "all 30 examples have the label 'good'; a classifier needs examples of"),
        (HEAD + GOOD + "many,2,own,bad\n", "", 3, "line 22, column 'income': 'many' is no number, but most values are"),
        (HEAD + "many,2,own,bad\n" + GOOD, "prepare.numbers=[income]", 3, "line 2, column 'income': 'many' is no num"),
        (HEAD + GOOD, "prepare.label=class", 3, "line 2: there is no column 'class' (prepare.label); there are: inc"),
        (HEAD + GOOD, "prepare.label=''", 2, "prepare.label: say which column holds the label"),
        (HEAD + GOOD, "prepare.label=income", 3, "20 different labels in 20 examples; this task predicts classes"),
        (HEAD + GOOD, "prepare.numbers=[age]", 3, "there is no column 'age' (prepare.numbers)"),
        (HEAD + GOOD, "prepare.ignore=[income, debt, home]", 3, "there is no column to learn from beside 'risk'"),
        (HEAD + GOOD, "prepare.ignore=[risk]", 2, "the column 'risk' is named twice"),
        (HEAD + GOOD, "prepare.split={val: 0}", 2, "prepare.split.val must be above 0"),
        (HEAD, "", 3, "there is no row in"),
        (HEAD + "1,2\n", "", 3, "line 2: 2 columns where the header has 4"),
        ("a,b,a\n1,2,3\n", "", 3, "line 1: two columns are called 'a'"),
    ],
)
def test_tables_that_cannot_be_learnt(table_fresh, llmkit, text, override, code, message):
    table_fresh.table.write_text(text)
    ran = llmkit("prepare", table_fresh.config, *([override] if override else []))
    assert (ran.code, message in ran.error) == (code, True), ran.error
    assert not (table_fresh.run_dir / "prepared").exists()


def test_rows_of_json_lines_and_of_several_files_may_lack_columns_but_not_the_label(table_fresh, llmkit, tmp_path):
    rows = [{"income": k, "debt": k % 7, "risk": "good" if k % 2 else "bad"} for k in range(30)]
    rows[3] |= {"age": 4}
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ran = llmkit("prepare", table_fresh.config, f"prepare.files={tmp_path}/rows.jsonl")
    assert ran.code == 0
    assert "29 of 30 rows have no column 'age', the first in" in ran.err and "rows.jsonl, line 1: it counts" in ran.err
    (tmp_path / "other.csv").write_text("text,queue\nhello,a\n")
    ran = llmkit("prepare", table_fresh.config, f"prepare.files=[{tmp_path}/rows.jsonl, {tmp_path}/other.csv]")
    assert ran.code == 3 and "other.csv, line 2: there is no column 'risk' (prepare.label)" in ran.error


def test_a_column_without_values_and_rows_without_label_are_left_out_with_a_warning(table_fresh, llmkit):
    text = HEAD + GOOD.replace(",own,", ",,") + "1,2,,\n"
    table_fresh.table.write_text(text)
    ran = llmkit("prepare", table_fresh.config)
    assert ran.code == 0
    assert "warning: the column 'home' has no value in any row and is left out" in ran.err
    assert "warning: 1 rows have no label and are left out, the first in" in ran.err


def test_an_identifier_draws_a_warning(table_fresh, llmkit):
    lines = [f"{line},id{k}" if k else f"{line},id" for k, line in enumerate(table_fresh.table.read_text().split())]
    table_fresh.table.write_text("\n".join(lines))
    ran = llmkit("prepare", table_fresh.config)
    assert ran.code == 0 and "the column 'id' has 240 different values in 240 rows: if it is an identifier" in ran.err


def test_each_row_has_every_column(table_run, llmkit):
    whole, short = json.dumps(ROW), json.dumps({"income": 1, "dept": 2, "home": "own"})
    ran = llmkit("generate", table_run.model, "--prompt", whole, "--prompt", short)
    assert ran.code == 3 and "--prompt number 2: the column 'debt' is not there; the model needs it" in ran.error
    with pytest.raises(InputError, match="row 1: the column 'debt' is not there"):
        package.load(table_run.model).predict([json.loads(short), ROW])


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ({"income": 1, "home": "own"}, 3, "--prompt: the column 'debt' is not there; the model needs it"),
        (ROW | {"debt": "much"}, 3, "--prompt, column 'debt': 'much' is no number"),
        ([1], 2, "is no JSON object; write"),
    ],
)
def test_rows_that_do_not_fit_the_model(table_run, llmkit, row, code, message):
    ran = llmkit("generate", table_run.model, "--prompt", json.dumps(row))
    assert ran.code == code and message in ran.error


def test_no_rows_and_broken_ones(table_run, llmkit, tmp_path):
    ran = llmkit("generate", table_run.model)
    assert ran.code == 2 and "there are no rows to predict; give --prompt" in ran.error
    ran = llmkit("generate", table_run.model, "--prompt", "{income: 1}")
    assert ran.code == 2 and "is no JSON object" in ran.error
    ran = llmkit("generate", table_run.model, "--prompt", "-", stdin=b"")
    assert ran.code == 3 and "standard input holds no rows" in ran.error
    ran = llmkit("generate", table_run.model, "--prompt-file", tmp_path / "none.csv")
    assert ran.code == 3 and "none.csv cannot be read" in ran.error
    ran = llmkit("generate", table_run.model, "--max-tokens", "3")
    assert ran.code == 2 and "generate.max_tokens: unknown key" in ran.error


def test_a_category_never_seen_is_taken_as_unknown_with_a_warning(table_run, llmkit):
    ran = llmkit("generate", table_run.model, "--prompt", json.dumps(ROW | {"home": "castle"}), "--jsonl")
    assert ran.code == 0 and json.loads(ran.out)["probability"] > 0
    assert "warning: --prompt, column 'home': 'castle': seldom or never seen in training" in ran.err


def test_a_label_never_seen_cannot_be_scored(table_run, llmkit, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(HEAD + "1,2,own,good\n1,2,own,ugly\n")
    ran = llmkit("evaluate", table_run.model, "--on", other)
    assert ran.code == 3
    assert "other.csv, line 3: the label 'ugly' was never seen in training; the model knows: bad, good" in ran.error
    other.write_text("income,home,risk\n1,own,good\n")
    ran = llmkit("evaluate", table_run.model, "--on", other)
    assert ran.code == 3 and "line 2: the column 'debt' is not there" in ran.error


def test_training_that_diverges_keeps_the_last_good_model(table_run, tmp_path, llmkit):
    run_dir = tmp_path / "run"
    shutil.copytree(table_run.run_dir, run_dir)
    before = (run_dir / "model" / "model.safetensors").read_bytes()
    ran = llmkit("train", table_run.config, f"run_dir={run_dir}", "train.learning_rate=1e30", "train.warmup_steps=0")
    assert ran.code == 2 and "training diverged" in ran.error and "lower train.learning_rate" in ran.error
    assert (run_dir / "model" / "model.safetensors").read_bytes() == before


def test_a_model_goes_to_another_process_as_its_folder(table_run):
    import pickle

    model = package.load(table_run.model)
    assert pickle.loads(pickle.dumps(model)).predict(ROW) == model.predict(ROW)


def test_a_confusion_table_says_which_axis_is_the_truth(capsys):
    from llmkit.cli import show

    show.figures({"stage": "evaluate", "confusion": {"no": {"no": 3, "yes": 1}, "yes": {"no": 0, "yes": 2}}})
    out = capsys.readouterr().out.splitlines()
    assert out[-4].split() == ["true", "↓", "predicted", "→", "no", "yes"] and out[-2].split() == ["no", "3", "1"]
    names = [f"label {number}" for number in range(500)]
    counts = {name: dict.fromkeys(names, 0) | {name: 1} for name in names}
    counts["label 3"]["label 7"] = 5
    show.figures({"stage": "evaluate", "confusion": counts})
    out = capsys.readouterr().out
    assert len(out) < 1000 and "label 3  label 7    5" in out


def test_explanations_of_rows_add_up_and_columns_have_their_importance(table_run, llmkit):
    found = package.load(table_run.model).explain(ROW)
    parts = {part["column"]: part["contribution"] for part in found["explanation"]["parts"]}
    assert list(parts) == ["income", "debt", "home"]
    assert found["explanation"]["baseline"] + sum(parts.values()) == pytest.approx(found["probability"], abs=1e-5)
    assert parts["income"] > 0 and parts["debt"] > 0
    ran = llmkit("generate", table_run.model, "--explain", "--prompt", json.dumps(ROW))
    assert "good: " in ran.out and "a typical row" in ran.out and "income = 80" in ran.out
    scored = llmkit("evaluate", table_run.config, "evaluate.explain=20", "--json").json
    assert scored["importance"].keys() == parts.keys() and scored["explanations"]["gap"] < 0.01
    assert scored["importance"]["debt"]["low"] > 0
