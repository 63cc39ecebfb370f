"""`task: classify` through the command line: metrics, predictions in every form, sources, starts, bad input."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
from small_runs import without_torch

import llmkit as package
from llmkit.errors import ConfigError, InputError
from llmkit.store import artifacts
from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.tasks.classify import evaluate, labelled, mixing

# --- what it gives ------------------------------------------------------------------------------------------


def test_the_metrics_of_the_contract_and_what_int8_keeps_of_them(text_run, llmkit):
    rows = llmkit("evaluate", text_run.config, "--model", "model", "--model", "int8", "--json").json["models"]
    keys = "accuracy macro_f1 roc_auc log_loss calibration_error confusion examples size_bytes examples_per_second"
    for row in rows:
        assert {*keys.split(), "latency_ms"} <= row.keys()
        assert row["accuracy"] > 0.9 and row["examples"] == 32
    assert rows[1]["size_bytes"] < rows[0]["size_bytes"]
    assert abs(rows[0]["log_loss"] - rows[1]["log_loss"]) < 0.05


def test_the_linear_part_by_itself_is_a_baseline(text_run, llmkit):
    found = llmkit("evaluate", text_run.config, "--json").json
    folder, prepared = experiments.read_model(text_run.model), artifacts.read(text_run.run_dir / "prepared")
    examples, weights = evaluate.of_split(folder, prepared, "test"), folder.weights()
    read = examples.read(package.load(text_run.model), np.arange(len(examples.targets)))
    parts = zip(np.split(read.features.numbers, read.features.starts[1:-1]),
                np.split(read.values.numbers, read.values.starts[1:-1]), strict=True)  # fmt: skip
    logits = [values @ weights["ngram_table"][numbers] + weights["ngram_bias"] for numbers, values in parts]
    right = np.argmax(logits, axis=1) == examples.targets
    assert found["linear_accuracy"] == pytest.approx(right.mean()) and 0.5 < found["linear_macro_f1"] <= 1
    shown = llmkit("evaluate", text_run.config, "--model", "model", "--model", "int8").out
    assert "linear part" in shown


def test_members_are_told_from_others(text_run, llmkit):
    found = llmkit("evaluate", text_run.model, "evaluate.membership=20", "--json").json
    assert 0.2 < found["membership_auc"] < 0.9
    assert found["membership_examples"] == [20, 20]


def test_predict_from_a_program(text_run):
    model = package.load(text_run.int8)
    assert model.predict("A wonderful film.")["label"] == "positive"
    found = model.predict(["a dull plot", "BRIGHT AND CLEVER", ""])
    assert [item["label"] for item in found[:2]] == ["negative", "positive"]
    assert 0.3 < found[2]["probability"] < 0.9


def test_predictions_of_a_text_do_not_depend_on_those_beside_it(text_run):
    model = package.load(text_run.model)
    texts = ["a dull plot", "it is wonderful " * 40, "", "the film"]
    together = [item["probability"] for item in model.predict(texts)]
    assert together == pytest.approx([model.predict(text)["probability"] for text in texts], abs=1e-5)


def test_predictions_as_table_csv_and_json_lines(text_run, llmkit):
    given = ["--prompt", "A touching scene, a clever plot", "--prompt", "dull"]
    ran = llmkit("generate", text_run.model, *given)
    assert ran.out.splitlines()[0].split() == ["text", "label", "probability", "p(negative)", "p(positive)"]
    rows = list(csv.DictReader(io.StringIO(llmkit("generate", text_run.model, *given, "--output", "csv").out)))
    assert [(row["text"], row["label"]) for row in rows] == [(given[1], "positive"), ("dull", "negative")]
    lines = [json.loads(line) for line in llmkit("generate", text_run.model, *given, "--jsonl").out.splitlines()]
    assert [float(row["probability"]) for row in rows] == [line["probability"] for line in lines]


def test_texts_from_a_file_and_from_standard_input(text_run, llmkit, tmp_path):
    (tmp_path / "texts.txt").write_text("a dull plot\nwonderful\n")
    (tmp_path / "texts.jsonl").write_text('{"text": "a dull plot"}\n{"text": "wonderful"}\n')
    by_input = llmkit("generate", text_run.model, "--prompt", "-", "--jsonl", stdin=b"a dull plot\nwonderful\n").out
    assert len(by_input.splitlines()) == 2
    arguments = ["generate", text_run.model, "--prompt-file", "-", "--jsonl"]
    assert llmkit(*arguments, stdin=b"a dull plot\nwonderful\n").out == by_input
    for name in ("texts.txt", "texts.jsonl"):
        assert llmkit("generate", text_run.model, "--prompt-file", tmp_path / name, "--jsonl").out == by_input


def test_it_predicts_without_torch(text_run, tmp_path):
    code = f"import llmkit; llmkit.load({str(text_run.model)!r}).predict('a film')"
    ran = without_torch(code, tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_a_folder_for_each_label(text_fresh, llmkit):
    for label, word in (("good", "bright"), ("bad", "dull")):
        folder = text_fresh.table.parent / "texts" / label
        folder.mkdir(parents=True)
        for number in range(20):
            (folder / f"{number}.txt").write_text(f"A {word} film,\nnumber {number}.\n")
    ran = llmkit("prepare", text_fresh.config, f"prepare.files={text_fresh.table.parent}/texts/*/*.txt", "--json")
    assert ran.json["labels"] == ["bad", "good"] and ran.json["examples"] == 40
    assert labelled.read(Files(text_fresh.run_dir / "prepared"))[0] == "A dull film,\nnumber 0.\n"


def test_folds_are_in_the_result(text_fresh, llmkit):
    assert llmkit("prepare", text_fresh.config).code == 0
    result = llmkit("train", text_fresh.config, "train.folds=2", "train.epochs=2", "--json").json
    assert result["mean_accuracy"] == pytest.approx(np.mean([row["accuracy"] for row in result["folds"]]))
    assert result["mean_accuracy"] > 0.8


def test_the_linear_part_is_told_and_the_mixture_is_fitted(text_fresh, llmkit):
    found = llmkit("prepare", text_fresh.config, "--json").json["linear"]
    assert found["features"] > found["features_of_words"] > 0 and found["accuracy"] > 0.9
    result = llmkit("train", text_fresh.config, "model.ngram_share=null", "--json").json
    assert result["mixture"]["linear"] > 0 and result["lstm"] == (result["mixture"]["lstm"] > 0)
    assert ("embedding" in experiments.read_model(text_fresh.model).weights()) == result["lstm"]


def test_an_lstm_that_adds_nothing_is_left_out_and_training_ends(text_fresh, llmkit, monkeypatch):
    monkeypatch.setattr(mixing, "weigh", lambda linear, *rest: (np.stack([np.ones(2), np.zeros(2)]), 0.0))
    assert llmkit("prepare", text_fresh.config).code == 0
    options = ("model.ngram_share=null", "train.validation_steps=2")
    result = llmkit("train", text_fresh.config, *options, "--json").json
    assert not result["lstm"] and result["stopped_early"]
    assert package.load(text_fresh.model).predict("a wonderful film")["label"] == "positive"
    ran = llmkit("compress", text_fresh.config, *options, "--json")
    assert ran.code == 0 and ran.json["size_bytes"] < ran.json["original"]["size_bytes"]
    assert package.load(text_fresh.int8).explain("a wonderful film")["label"] == "positive"


def test_an_lstm_without_a_say_is_not_trained(text_fresh, llmkit):
    assert llmkit("prepare", text_fresh.config).code == 0
    options = ("model.ngram_share=1", "train.validation_steps=2")
    result = llmkit("train", text_fresh.config, *options, "--json").json
    assert result["steps"] == 2 and result["stopped_early"]
    assert "embedding" not in experiments.read_model(text_fresh.model).weights()


def test_balanced_labels_have_the_same_odds_beforehand(text_fresh, llmkit):
    lines = text_fresh.table.read_text().splitlines()
    rows = [row for number, row in enumerate(lines) if not row.endswith("positive") or number % 5 == 0]
    text_fresh.table.write_text("\n".join(rows) + "\n")
    assert llmkit("prepare", text_fresh.config).code == 0
    chances = []
    for weights in ("none", "balanced"):
        assert llmkit("train", text_fresh.config, "model.ngram_share=1", f"train.class_weights={weights}").code == 0
        chances.append(package.load(text_fresh.model).predict("")["probabilities"]["positive"])
    assert chances[0] + 0.1 < chances[1]


def test_an_older_model_folder_is_refused_with_what_to_do(text_run, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(text_run.model, old)
    (old / "ngrams.json").unlink()
    with pytest.raises(InputError, match=r"ngrams\.json"):
        package.load(old)


# --- start_from ---------------------------------------------------------------------------------------------


def test_it_starts_from_a_language_model_of_its_vocabulary(text_fresh, llmkit, tmp_path):
    text = tmp_path / "plain.txt"
    text.write_text("the film is a bright film . it is the plot , a dull plot\n" * 60)
    language = tmp_path / "language.yaml"
    language.write_text(
        f"task: language\nrun_dir: {tmp_path}/language\nprepare: {{files: {text}, tokenizer: {{kind: word}}}}\n"
        "model: {embedding_size: 8, hidden_size: 6}\ntrain: {steps: 3, batch_size: 2, sequence_length: 8}\n"
    )
    assert llmkit("prepare", language).code == 0
    assert llmkit("train", language).code == 0
    start = f"train.start_from={tmp_path}/language/model"
    assert llmkit("prepare", text_fresh.config).code == 0
    ran = llmkit("train", text_fresh.config, start)
    assert ran.code == 3 and "has another vocabulary" in ran.error and "prepare.tokenizer.file=" in ran.error
    file = f"prepare.tokenizer.file={tmp_path}/language/model/tokenizer.json"
    assert llmkit("prepare", text_fresh.config, file).code == 0
    ran = llmkit("train", text_fresh.config, file, start, "train.steps=1", "train.learning_rate=1e-9")
    assert ran.code == 0, ran.err
    mine = experiments.read_model(text_fresh.model).weights()
    theirs = experiments.read_model(tmp_path / "language" / "model").weights()
    np.testing.assert_allclose(mine["embedding"], theirs["embedding"], atol=1e-5)
    np.testing.assert_allclose(mine["lstm.W"][0], theirs["lstm0.W"][0], atol=1e-5)
    ran = llmkit("train", text_fresh.config, file, start, "model.hidden_size=5")
    assert ran.code == 3 and "has other sizes than the section model" in ran.error


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "override", "code", "message"),
    [
        ("text,label\n" + "a film,good\n" * 20, "", 3, "all 20 examples have the label 'good'"),
        ("text,label\na,x\nb,y\n", "prepare.text=review", 3, "line 2: there is no column 'review' (prepare.text)"),
        ("text,label\na,x\nb,y\n", "prepare.label=class", 3, "line 2: there is no column 'class' (prepare.label)"),
        ("text,label\na,x\nb,y\n", "prepare.label=text", 2, "text and label are the same column"),
        ("text,label\na,x\nb,y\n", "", 3, "the val split is empty: 2 examples are too few"),
        ("text,label\n,x\n ,y\n", "", 3, "there is no labelled text in"),
    ],
)
def test_texts_that_cannot_be_learnt(text_fresh, llmkit, text, override, code, message):
    text_fresh.table.write_text(text)
    ran = llmkit("prepare", text_fresh.config, *([override] if override else []))
    assert (ran.code, message in ran.error) == (code, True), ran.error


def test_empty_texts_are_left_out_of_training_with_a_warning(text_fresh, llmkit):
    text_fresh.table.write_text(text_fresh.table.read_text() + "  ,positive\nfine,\n")
    ran = llmkit("prepare", text_fresh.config, "--json")
    assert ran.json["examples"] == 160
    assert "warning: 2 examples have no text or no label and are left out, the first in" in ran.err


def test_an_empty_text_and_one_of_a_million_characters_are_predicted(text_run, llmkit):
    ran = llmkit("generate", text_run.model, "--prompt", "", "--jsonl")
    assert ran.code == 0 and "warning: 1 of 1 texts are empty" in ran.err
    long = ("a wonderful film " * 60_000)[:1_000_000]
    ran = llmkit("generate", text_run.model, "--prompt", "-", stdin=long.encode())
    assert ran.code == 0 and "positive" in ran.out and len(ran.out) < 1000
    one_word = llmkit("generate", text_run.model, "--prompt", "-", "--jsonl", stdin=b"x" * 1_000_000)
    assert one_word.code == 0


def test_no_texts_and_a_label_never_seen(text_run, llmkit, tmp_path):
    ran = llmkit("generate", text_run.model)
    assert ran.code == 2 and "there are no texts to classify; give --prompt TEXT" in ran.error
    ran = llmkit("generate", text_run.model, "--prompt", "-", stdin=b"")
    assert ran.code == 3 and "standard input holds no texts" in ran.error
    other = tmp_path / "other.csv"
    other.write_text("text,label\na film,positive\na film,mixed\n")
    ran = llmkit("evaluate", text_run.model, "--on", other)
    assert ran.code == 3 and "other.csv, line 3: the label 'mixed' was never seen in training" in ran.error
    other.write_text("review\na film\n")
    ran = llmkit("generate", text_run.model, "--prompt-file", other)
    assert ran.code == 3 and "line 2: there is no column 'text', which the model reads" in ran.error


def test_training_that_diverges_says_what_to_change(text_fresh, llmkit):
    assert llmkit("prepare", text_fresh.config).code == 0
    ran = llmkit("train", text_fresh.config, "train.learning_rate=1e30", "train.warmup_steps=0")
    assert ran.code == 2 and "training diverged" in ran.error
    assert not text_fresh.model.exists()


def test_explanations_of_texts_add_up(text_run, llmkit, tmp_path):
    model = package.load(text_run.model)
    found = model.explain("A wonderful film with a plot.")
    parts = found["explanation"]["parts"]
    assert max(parts, key=lambda part: part["contribution"])["text"] == "wonderful"
    total = sum(part["contribution"] for part in parts)
    assert found["explanation"]["baseline"] + total == pytest.approx(found["probability"], abs=1e-5)
    other = model.explain(["A wonderful film with a plot.", ""], label="negative")
    assert other[0]["explanation"]["parts"][1]["contribution"] == pytest.approx(-parts[1]["contribution"])
    assert other[1]["explanation"]["parts"] == []
    with pytest.raises(ConfigError, match="does not know the label 'good'"):
        model.explain("a", label="good")
    ran = llmkit("generate", text_run.model, "--explain", "--prompt", "A wonderful film with a plot.")
    assert "positive: " in ran.out and "an empty text" in ran.out and "  wonderful" in ran.out
    rows = llmkit("generate", text_run.model, "--explain", "--prompt", "dull", "--output", "csv").out
    assert json.loads(next(csv.DictReader(io.StringIO(rows)))["explanation"])["parts"][0]["text"] == "dull"
    page = llmkit(
        "generate", text_run.model, "--explain", "--prompt", "dull <script>x</script>", "--output", "html"
    ).out
    assert "<script" not in page and ">dull</span>" in page and "&lt;script" in page
    code = f"import llmkit; llmkit.load({str(text_run.model)!r}).explain('a film')"
    assert without_torch(code, tmp_path).returncode == 0


def test_explanations_are_judged_and_words_of_most_weight_named(text_run, llmkit):
    found = llmkit("evaluate", text_run.config, "evaluate.explain=12", "--json").json
    assert found["explanations"]["examples"] == 12 and found["explanations"]["gap"] < 0.01
    assert found["explanations"]["loss_of_top_tenth"] > 3 * found["explanations"]["loss_of_random_tenth"]
    assert found["words"]["negative"][0]["word"] in ("dull", "tedious", "clumsy", "bland")
    ran = llmkit("evaluate", text_run.config, "evaluate.explain=12")
    assert "words that speak most for each label" in ran.out
