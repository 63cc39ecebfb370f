"""`llmkit train`: what `--dry-run` says, figures and warnings, a budget on the command line."""

import json
import math

import pytest
from small_runs import setup_of

from llmkit.fitting import probe
from llmkit.stages import train


def test_every_fold_counts_as_a_training(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "probe", lambda setup: {"minutes": 2.0})
    setup = setup_of(tiny_run)
    once = {"goes_on_from_step": 0, "minutes": 2.0}
    assert train._expected(setup, tmp_path, begins_anew=False) == once
    monkeypatch.setattr(type(setup.settings.train), "folds", 5)
    assert train._expected(setup, tmp_path, begins_anew=False) == once | {"minutes": 12.0, "folds": 5}


def test_a_dry_run_says_what_is_too_small(llmkit, tiny_copy, monkeypatch):
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0)
    ran = llmkit("train", tiny_copy.config, "train.steps=9999", "--dry-run", "--json")
    assert len(ran.json["too_small"]) == 1 and ran.json["epochs"] > 16  # 2,100 parameters, 3,201 tokens
    assert "too small: this budget reads" in llmkit("train", tiny_copy.config, "train.steps=9999", "--dry-run").out


def test_the_figures_of_train(llmkit, tiny_copy):
    found = llmkit("train", tiny_copy.config, "--json").json
    assert found["steps"] == found["best_step"] == 5
    vocabulary = len(json.loads((tiny_copy.model / "tokenizer.json").read_text())["model"]["vocab"])
    # embedding, four gates with one bias, output
    assert found["parameters"] == vocabulary * 8 + 4 * 16 * (8 + 16 + 1) + (16 + 1) * vocabulary
    assert {"tokens", "seconds", "tokens_per_second", "val_loss"} <= found.keys()
    assert found["tokens_per_second"] == pytest.approx(found["tokens"] / found["seconds"])


def test_a_budget_on_the_command_line_replaces_that_of_the_file(llmkit, tiny_copy):
    assert llmkit("train", tiny_copy.config, "train.steps=2", "--json").json["steps"] == 2
    found = llmkit("train", tiny_copy.config, "train.epochs=0.1", "--json").json
    # a tenth of 3,200 characters and the boundary, overshot by less than the longest step: 4 streams of 19
    assert 320.1 <= found["tokens"] < 320.1 + 4 * 19
    assert llmkit("train", tiny_copy.config, "--json").json["steps"] == 5


def test_a_corpus_shorter_than_a_window_is_trained_with_a_warning(llmkit, tiny_fresh):
    tiny_fresh.text.write_text("a small corpus, of 35 letters here\n")
    llmkit("prepare", tiny_fresh.config)
    ran = llmkit("train", tiny_fresh.config, "train.sequence_length=64", "--json")
    assert ran.code == 0
    # 80 % of 35 characters and the boundary: 29 tokens in 4 streams of 7, of which 6 can be predicted
    assert "warning: the training split has only 29 tokens" in ran.err
    assert "train.sequence_length 64 → 6" in ran.err
    assert math.isfinite(ran.json["val_loss"])


def test_a_dry_run_of_train_tells_steps_memory_and_time(llmkit, tiny_copy, monkeypatch):
    monkeypatch.setattr("llmkit.fitting.probe.PROBE_SECONDS", 0)
    found = llmkit("train", tiny_copy.config, "train.steps=1000", "--dry-run", "--json").json
    assert found["steps"] == 1000
    assert found["memory_bytes"] > 10_000_000
    assert found["minutes"] > 0
