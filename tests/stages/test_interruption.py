"""`llmkit train` interrupted by Ctrl-C or SIGTERM: checkpoints stay, the same command goes on to the same bytes."""

import signal

import pytest
from run_folders import file_hashes, snapshot, take_model_away

from llmkit.store import artifacts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_goes_on_to_the_same_bytes(llmkit, tiny_copy, monkeypatch, signalled, number):
    before, result = file_hashes(tiny_copy.model), artifacts.read(tiny_copy.model).manifest["result"]
    take_model_away(tiny_copy)
    with monkeypatch.context():
        signalled(number, at=3)
        ran = llmkit("train", tiny_copy.config, "--json")
    assert ran.code == 130
    assert ran.error == "interrupted at step 3; the same command goes on from there"
    assert ran.json == {"error": {"code": 130, "message": ran.error}}
    assert not tiny_copy.model.exists()
    assert [path.name for path in (tiny_copy.run_dir / "work" / "train").glob("checkpoint-*")] == [
        "checkpoint-00000003"
    ]
    again = llmkit("train", tiny_copy.config, "--json")
    assert again.code == 0
    assert "going on from step 3 " in again.err
    assert again.json["steps"] == 5
    assert file_hashes(tiny_copy.model) == before
    assert artifacts.read(tiny_copy.model).manifest["result"] == result


def test_fresh_drops_the_checkpoints(llmkit, tiny_copy, signalled):
    before = file_hashes(tiny_copy.model)
    take_model_away(tiny_copy)
    signalled(signal.SIGTERM, at=2)
    assert llmkit("train", tiny_copy.config).code == 130
    ran = llmkit("train", tiny_copy.config, "--fresh")
    assert ran.code == 0
    assert "going on" not in ran.err
    assert file_hashes(tiny_copy.model) == before


def test_an_interrupted_run_of_other_settings_is_neither_continued_nor_dropped(llmkit, tiny_copy, signalled):
    take_model_away(tiny_copy)
    signalled(signal.SIGINT, at=2)
    assert llmkit("train", tiny_copy.config).code == 130
    for more in (["--dry-run"], []):
        ran = llmkit("train", tiny_copy.config, "train.learning_rate=0.5", *more)
        assert ran.code == 3
        assert "train.learning_rate: 0.01 → 0.5" in ran.error
        assert "--fresh" in ran.error
    assert llmkit("train", tiny_copy.config, "train.learning_rate=0.5", "--dry-run", "--fresh").code == 0
    assert "going on from step 2 " in llmkit("train", tiny_copy.config).err
    assert llmkit("train", tiny_copy.config, "train.learning_rate=0.5", "--json").json["steps"] == 5


def test_an_interrupted_retraining_leaves_the_old_model(llmkit, tiny_copy, signalled):
    before = snapshot(tiny_copy.model)
    signalled(signal.SIGINT, at=2)
    assert llmkit("train", tiny_copy.config, "train.steps=4").code == 130
    assert snapshot(tiny_copy.model) == before
    ran = llmkit("train", tiny_copy.config, "train.steps=4", "--json")
    assert ran.code == 0
    assert "going on from step 2 " in ran.err
    assert ran.json["steps"] == 4


def test_a_forced_retraining_that_is_interrupted_goes_on(llmkit, tiny_copy, signalled):
    before = file_hashes(tiny_copy.model)
    signalled(signal.SIGTERM, at=4)
    assert llmkit("train", tiny_copy.config, "--force").code == 130
    assert "going on from step 4 " in llmkit("train", tiny_copy.config, "--force").err
    assert file_hashes(tiny_copy.model) == before
    assert "going on" not in llmkit("train", tiny_copy.config, "--force").err


def test_a_dry_run_says_that_an_interrupted_run_goes_on(llmkit, tiny_copy, monkeypatch, signalled):
    take_model_away(tiny_copy)
    with monkeypatch.context():
        signalled(signal.SIGTERM, at=3)
        assert llmkit("train", tiny_copy.config).code == 130
    ran = llmkit("train", tiny_copy.config, "--dry-run", "--json")
    assert ran.json["goes_on_from_step"] == 3
