"""freshness.py: what is stale and why, what is up to date, forced or only announced by `--dry-run`."""

import pytest
from run_folders import file_hashes, snapshot

from llmkit.store import artifacts


def test_a_changed_source_file_makes_prepared_data_stale(llmkit, tiny_fresh):
    llmkit("prepare", tiny_fresh.config)
    tiny_fresh.text.write_text(tiny_fresh.text.read_text().replace("fox", "cat", 1))
    before = snapshot(tiny_fresh.run_dir)
    ran = llmkit("train", tiny_fresh.config, "--json")
    assert ran.code == ran.json["error"]["code"] == 3
    assert ran.error.split("\n") == [
        f"{tiny_fresh.run_dir}/prepared is stale:",
        f"  {tiny_fresh.text} has changed",
        f"run: llmkit prepare {tiny_fresh.config}",
    ]
    assert snapshot(tiny_fresh.run_dir) == before
    assert "has changed" in llmkit("prepare", tiny_fresh.config, "--dry-run").out


def test_source_files_that_are_gone_are_not_compared(llmkit, tiny_fresh):
    llmkit("prepare", tiny_fresh.config)
    tiny_fresh.text.unlink()
    assert llmkit("train", tiny_fresh.config, "train.steps=1").code == 0


def test_changed_settings_make_prepared_data_stale(llmkit, tiny_copy):
    ran = llmkit("train", tiny_copy.config, "prepare.split.val=0.2")
    assert ran.code == 3
    assert "  prepare.split.val: 0.1 → 0.2\n" in ran.error
    assert ran.error.endswith(f"run: llmkit prepare {tiny_copy.config} prepare.split.val=0.2")


FINISHED = ["prepare", "train", "compress"]


@pytest.mark.parametrize("stage", FINISHED)
def test_a_finished_stage_is_up_to_date_and_touches_nothing(llmkit, tiny_copy, stage):
    before = snapshot(tiny_copy.run_dir)
    ran = llmkit(stage, tiny_copy.config, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["stage"] == stage
    assert ran.json["up_to_date"] is True
    assert "up to date" in llmkit(stage, tiny_copy.config).out
    assert snapshot(tiny_copy.run_dir) == before


def test_what_is_up_to_date_prints_its_stored_result(llmkit, tiny_fresh):
    for stage in ("prepare", "train", "evaluate"):
        first = llmkit(stage, tiny_fresh.config, "--json").json
        second = llmkit(stage, tiny_fresh.config, "--json").json
        assert "up_to_date" not in first
        assert second == first | {"up_to_date": True}


@pytest.mark.parametrize(
    ("stage", "override", "why"),
    [
        ("prepare", "prepare.split.val=0.2", "prepare.split.val: 0.1 → 0.2"),
        ("prepare", "seed=2", "seed: 1 → 2"),
        ("train", "train.steps=2", "train.steps: 5 → 2"),
        ("train", "seed=2", "seed: 1 → 2"),
    ],
)
def test_changed_settings_are_said_and_redone(llmkit, tiny_copy, monkeypatch, stage, override, why):
    monkeypatch.setattr("llmkit.fitting.probe.PROBE_SECONDS", 0)
    place = tiny_copy.run_dir / {"prepare": "prepared", "train": "model"}[stage]
    before = artifacts.read(place).hash
    ran = llmkit(stage, tiny_copy.config, override, "--dry-run", "--json")
    assert ran.json["would_run"] == [why]
    assert ran.json["dry_run"] is True
    ran = llmkit(stage, tiny_copy.config, override, "--json")
    assert (ran.code, "up_to_date" in ran.json) == (0, False)
    assert artifacts.read(place).hash != before
    assert llmkit(stage, tiny_copy.config, override, "--json").json["up_to_date"] is True


def test_another_version_of_llmkit_makes_it_again(llmkit, tiny_copy, monkeypatch):
    monkeypatch.setattr("llmkit.stages.freshness.__version__", "0.0.0")
    ran = llmkit("prepare", tiny_copy.config, "--dry-run", "--json").json
    assert ran["would_run"] == [f"llmkit {artifacts.LLMKIT_VERSION} → 0.0.0"]


@pytest.mark.parametrize("stage", FINISHED)
def test_force_makes_the_same_again(llmkit, tiny_copy, stage):
    place = {"prepare": tiny_copy.run_dir / "prepared", "train": tiny_copy.model, "compress": tiny_copy.int8}[stage]
    before, inode = file_hashes(place), place.stat().st_ino
    ran = llmkit(stage, tiny_copy.config, "--force", "--json")
    assert (ran.code, "up_to_date" in ran.json) == (0, False)
    assert place.stat().st_ino != inode
    assert file_hashes(place) == before  # bit for bit


@pytest.mark.parametrize("stage", ["prepare", "train", "tune", "compress", "generate", "evaluate"])
def test_a_dry_run_writes_nothing(llmkit, tiny_copy, monkeypatch, stage):
    monkeypatch.setattr("llmkit.fitting.probe.PROBE_SECONDS", 0)
    for options in ([], ["--force"]):
        before = snapshot(tiny_copy.run_dir.parent)
        ran = llmkit(stage, tiny_copy.config, "--dry-run", "--json", *options)
        assert ran.code == 0
        assert ran.json["stage"] == stage
        assert llmkit(stage, tiny_copy.config, "--dry-run", *options).code == 0
        assert snapshot(tiny_copy.run_dir.parent) == before
        if options and stage in FINISHED:
            assert ran.json["would_run"] == ["--force"]


def test_a_dry_run_of_nothing_made_so_far(llmkit, tiny_fresh):
    ran = llmkit("prepare", tiny_fresh.config, "--dry-run")
    assert (ran.code, ran.out) == (0, "prepare would run: it does not exist yet\n")
    assert not tiny_fresh.run_dir.exists()


def test_a_dry_run_refuses_what_the_run_would_refuse(llmkit, tiny_fresh):
    assert llmkit("train", tiny_fresh.config, "--dry-run").code == 3
