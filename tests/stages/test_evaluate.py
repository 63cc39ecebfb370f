"""`llmkit evaluate` from the command line: figures of one model or several, other data, where reports are kept."""

import json
import math

import numpy as np
import pytest
from run_folders import snapshot

FIGURES = {
    "loss", "bits_per_byte", "perplexity", "accuracy", "top5_accuracy", "tokens", "unknown_tokens", "train_loss",
    "generalization_gap", "size_bytes", "parameters", "tokens_per_second", "first_token_ms", "scored_tokens_per_second",
}  # fmt: skip


def test_the_figures_of_one_model_are_at_the_top_level(llmkit, tiny_copy):
    found = llmkit("evaluate", tiny_copy.config, "--json").json
    assert found.keys() >= FIGURES | {"stage", "name"}
    assert (found["stage"], found["name"], found["split"]) == ("evaluate", "model", "test")
    tokens = len(np.load(tiny_copy.run_dir / "prepared" / "test.npy"))
    assert found["tokens"] == tokens - 1 == 400  # a tenth of 4,000 characters, after the boundary
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    assert found["bits_per_byte"] == pytest.approx(found["loss"] / math.log(2))  # a token is a character is a byte
    assert found["generalization_gap"] == pytest.approx(found["loss"] - found["train_loss"])
    assert 0 <= found["accuracy"] <= found["top5_accuracy"] <= 1
    shipped = ("graph.onnx", "model.safetensors", "tokenizer.json", "config.yaml")
    assert found["size_bytes"] == sum((tiny_copy.model / name).stat().st_size for name in shipped)
    report = json.loads((tiny_copy.run_dir / "evaluated" / "model" / "report.json").read_text())
    assert {key: found[key] for key in FIGURES} == {key: report[key] for key in FIGURES}


def test_both_engines_agree_on_the_validation_loss(llmkit, tiny_copy):
    trained = llmkit("train", tiny_copy.config, "--json").json
    found = llmkit("evaluate", tiny_copy.config, "evaluate.split=val", "--json").json
    assert found["loss"] == pytest.approx(trained["val_loss"], rel=1e-5)
    assert found["parameters"] == trained["parameters"]


def test_several_models_are_rows(llmkit, tiny_run):
    found = llmkit("evaluate", tiny_run.model, tiny_run.int8, "--json").json
    assert found.keys() == {"stage", "models"}
    assert found["stage"] == "evaluate"
    assert [row["name"] for row in found["models"]] == ["model", "int8"]
    first, second = found["models"]
    assert first.keys() >= FIGURES
    assert second.keys() >= FIGURES
    assert second["size_bytes"] < first["size_bytes"]
    assert second["loss"] == pytest.approx(first["loss"], rel=0.02)
    assert first["tokens"] == second["tokens"]


def test_several_models_are_a_table(llmkit, tiny_copy):
    ran = llmkit("evaluate", tiny_copy.config, "--model", "model", "--model", "int8")
    assert ran.code == 0
    heading, _, first, second = ran.out.splitlines()
    assert heading.split()[:4] == ["model", "size", "loss", "bits/byte"]
    assert (first.split()[0], second.split()[0]) == ("model", "int8")
    assert "× smaller)" in second
    assert (tiny_copy.run_dir / "evaluated" / "int8" / "report.json").exists()


def test_folders_are_evaluated_without_a_trace(llmkit, tiny_copy):
    before = snapshot(tiny_copy.run_dir)
    assert llmkit("evaluate", tiny_copy.model).code == 0
    assert snapshot(tiny_copy.run_dir) == before


def test_other_data_is_scored_from_files_and_standard_input(llmkit, tiny_run, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("the dog sleeps\n" * 40)
    found = llmkit("evaluate", tiny_run.model, "--on", other, "--json").json
    assert (found["tokens"], found["split"]) == (600, "files")
    piped = llmkit("evaluate", tiny_run.model, "--on", "-", "--json", stdin=other.read_bytes()).json
    assert (piped["loss"], piped["tokens"]) == (found["loss"], 600)
    assert "train_loss" not in found


def test_other_files_are_read_with_the_field_named_now(llmkit, tiny_copy, tmp_path):
    (tmp_path / "rows.csv").write_text("id,text\n1,the quick brown fox\n")
    ran = llmkit("evaluate", tiny_copy.config, "--on", tmp_path / "rows.csv", "prepare.field=text", "--json")
    assert ran.code == 0
    assert ran.json["tokens"] == len("the quick brown fox")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "there is no such file"), (b"", "no text"), (b"\xff\xfe", "byte 0")],
    ids=["missing", "empty", "binary"],
)
def test_other_data_that_cannot_be_scored(llmkit, tiny_run, tmp_path, content, words):
    other = tmp_path / "other.txt"
    if content is not None:
        other.write_bytes(content)
    ran = llmkit("evaluate", tiny_run.model, "--on", other, "--json")
    assert ran.code == 3
    assert "other.txt" in ran.error
    assert words in ran.error


def test_without_a_test_split_validation_is_scored(llmkit, tiny_fresh):
    for stage in ("prepare", "train"):
        assert llmkit(stage, tiny_fresh.config, "prepare.split.test=0").code == 0
    found = llmkit("evaluate", tiny_fresh.config, "prepare.split.test=0", "--json").json
    assert found["split"] == "val"
