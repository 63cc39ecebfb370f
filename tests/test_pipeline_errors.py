"""The six stages by their command, on a tiny corpus: what is refused, redone, left alone, saved when interrupted."""

import errno
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import yaml

import llmkit as package
from llmkit import tasks
from llmkit.store import artifacts
from llmkit.tasks.language import settings as language

ROOT = Path(package.__file__).parents[1]


def files(folder: Path) -> dict[str, Any]:
    """The hashes of an artifact's files; without the one that names the folder."""
    return {name: entry for name, entry in artifacts.read(folder).manifest["files"].items() if name != "config.yaml"}


def snapshot(folder: Path) -> dict[str, Any]:
    """Every file and folder below: content and time of change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


# --- in order -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["train", "tune", "compress"])
def test_a_stage_before_prepare_names_prepare(llmkit, tiny_fresh, stage):
    ran = llmkit(stage, tiny_fresh.config, "--json")
    assert ran.code == ran.json["error"]["code"] == 3
    assert ran.error == f"{tiny_fresh.run_dir}/prepared is missing; run: llmkit prepare {tiny_fresh.config}"
    assert not tiny_fresh.run_dir.exists()


@pytest.mark.parametrize("stage", ["generate", "evaluate"])
def test_use_of_a_model_before_train_names_train(llmkit, tiny_fresh, stage):
    ran = llmkit(stage, tiny_fresh.config, "--json")
    assert ran.code == ran.json["error"]["code"] == 3
    assert ran.error == f"{tiny_fresh.run_dir}/model is missing; run: llmkit train {tiny_fresh.config}"
    assert not tiny_fresh.run_dir.exists()


def test_compress_before_train_names_train(llmkit, tiny_fresh):
    assert llmkit("prepare", tiny_fresh.config).code == 0
    ran = llmkit("compress", tiny_fresh.config)
    assert (ran.code, ran.error) == (3, f"{tiny_fresh.run_dir}/model is missing; run: llmkit train {tiny_fresh.config}")


def test_a_missing_variant_names_compress(llmkit, tiny_copy):
    shutil.rmtree(tiny_copy.int8)
    ran = llmkit("generate", tiny_copy.config, "--model", "int8")
    assert (ran.code, ran.error) == (3, f"{tiny_copy.int8} is missing; run: llmkit compress {tiny_copy.config} int8")


def test_evaluate_without_the_prepared_data_names_prepare_and_other_data(llmkit, tiny_copy):
    shutil.rmtree(tiny_copy.run_dir / "prepared")
    ran = llmkit("evaluate", tiny_copy.config)
    assert ran.code == 3
    assert f"{tiny_copy.run_dir}/prepared is missing; run: llmkit prepare {tiny_copy.config}" in ran.error
    assert "--on FILE" in ran.error
    assert llmkit("evaluate", tiny_copy.config, "--on", tiny_copy.text).code == 0


def test_the_command_to_run_has_the_overrides_of_this_one(llmkit, tiny_fresh):
    ran = llmkit("train", tiny_fresh.config, f"run_dir={tiny_fresh.run_dir}2", "prepare.clean=none", "--seed", 4)
    assert ran.error.endswith(
        f"run: llmkit prepare {tiny_fresh.config} run_dir={tiny_fresh.run_dir}2 prepare.clean=none seed=4"
    )


# --- data that cannot be used -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["there is no file", "text.txt"]),
        (b"", ["there is no text in", "text.txt"]),
        (b"\x00\x01\x02\xff\xfe" * 100, ["text.txt", "looks like a binary file"]),
        (b"hello w\xf6rld, " * 30, ["text.txt", "byte 7", "encoding"]),
        (b"abcdefghijkl", ["the val split needs at least 2 tokens, found 1"]),
        (b"abcde", ["the val split needs at least 2 tokens, found 0"]),
    ],
    ids=["missing", "empty", "binary", "not UTF-8", "one token", "no token"],
)
def test_data_that_cannot_be_used(llmkit, tiny_fresh, content, words):
    tiny_fresh.text.unlink()
    if content is not None:
        tiny_fresh.text.write_bytes(content)
    ran = llmkit("prepare", tiny_fresh.config, "--json")
    assert ran.code == ran.json["error"]["code"] == 3
    for word in words:
        assert word in ran.error
    assert not [path for path in tiny_fresh.run_dir.rglob("*") if path.is_file() and path.name != ".lock"]
    assert not (tiny_fresh.run_dir / "prepared").exists()


def test_bad_data_leaves_the_old_artifact(llmkit, tiny_fresh):
    llmkit("prepare", tiny_fresh.config)
    before = snapshot(tiny_fresh.run_dir / "prepared")
    tiny_fresh.text.write_bytes(b"")
    assert llmkit("prepare", tiny_fresh.config).code == 3
    assert snapshot(tiny_fresh.run_dir / "prepared") == before


def test_a_corpus_shorter_than_a_window_is_trained_with_a_warning(llmkit, tiny_fresh):
    tiny_fresh.text.write_text("a small corpus, of 35 letters here\n")
    llmkit("prepare", tiny_fresh.config)
    ran = llmkit("train", tiny_fresh.config, "train.sequence_length=64", "--json")
    assert ran.code == 0
    # 80 % of 35 characters and the boundary: 29 tokens in 4 streams of 7, of which 6 can be predicted
    assert "warning: the training split has only 29 tokens" in ran.err
    assert "train.sequence_length 64 → 6" in ran.err
    assert math.isfinite(ran.json["val_loss"])


# --- damaged artifacts --------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damages(*names: str) -> Any:
    """Each kind of damage to each file; only its children hold the hash of a manifest, which shows a flipped bit."""
    kinds = {"truncated": truncate, "flipped": flip_a_bit, "gone": Path.unlink}
    cases = [(name, kind) for name in names for kind in kinds if (name, kind) != ("manifest.json", "flipped")]
    ids = [f"{name}-{kind}" for name, kind in cases]
    return pytest.mark.parametrize(("name", "damage"), [(name, kinds[kind]) for name, kind in cases], ids=ids)


@damages("train.npy", "val.npy", "test.npy", "tokenizer.json", "meta.json", "manifest.json")
def test_damaged_prepared_data(llmkit, tiny_copy, name, damage):
    damage(tiny_copy.run_dir / "prepared" / name)
    before = snapshot(tiny_copy.run_dir)
    for stage in ("train", "evaluate", "compress"):
        ran = llmkit(stage, tiny_copy.config)
        assert ran.code == 3
        assert name in ran.error
        assert ran.error.endswith(f"run: llmkit prepare {tiny_copy.config}")
    assert snapshot(tiny_copy.run_dir) == before


@damages("graph.onnx", "model.safetensors", "tokenizer.json", "config.yaml", "manifest.json")
def test_damaged_model(llmkit, tiny_copy, name, damage):
    damage(tiny_copy.model / name)
    before = snapshot(tiny_copy.run_dir)
    for stage in ("generate", "evaluate", "compress"):
        ran = llmkit(stage, tiny_copy.config)
        assert ran.code == 3
        assert name in ran.error
        assert ran.error.endswith(f"run: llmkit train {tiny_copy.config}")
    ran = llmkit("generate", tiny_copy.model)
    assert ran.code == 3
    assert name in ran.error
    assert ran.error.endswith("make it again, or copy it anew")
    assert snapshot(tiny_copy.run_dir) == before


def test_prepare_mends_damaged_data_and_the_model_stays_up_to_date(llmkit, tiny_copy):
    flip_a_bit(tiny_copy.run_dir / "prepared" / "train.npy")
    assert "up_to_date" not in llmkit("prepare", tiny_copy.config, "--json").json
    assert llmkit("train", tiny_copy.config, "--json").json["up_to_date"] is True


@pytest.mark.parametrize("stage", ["prepare", "train", "compress", "generate", "evaluate"])
def test_an_artifact_of_a_later_version_is_refused_and_kept(llmkit, tiny_copy, stage):
    place = {"prepare": tiny_copy.run_dir / "prepared", "compress": tiny_copy.int8}.get(stage, tiny_copy.model)
    manifest = json.loads((place / "manifest.json").read_text())
    del manifest["manifest_sha256"]  # that of the changed one is another
    (place / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 2, "llmkit_version": "9.8.7"}))
    before = snapshot(tiny_copy.run_dir)
    ran = llmkit(stage, tiny_copy.config, "seed=2")
    assert ran.code == 3
    assert "install llmkit 9.8.7 or later" in ran.error
    assert snapshot(tiny_copy.run_dir) == before


# --- another task -------------------------------------------------------------------------------------------


class OtherConfig(language.Config):
    """As the language task, under another name."""

    task: Literal["other"] = "other"


def remake(folder: Path, task: str) -> None:
    """Make an artifact anew with the same files, as one of another task."""
    old = artifacts.read(folder)
    with artifacts.building(folder) as building:
        for name in old.manifest["files"]:
            shutil.copy(folder / name, building.path / name)
        if (folder / "config.yaml").exists():
            data = yaml.safe_load((folder / "config.yaml").read_text()) | {"task": task}
            (building.path / "config.yaml").write_text(yaml.safe_dump(data))
        kept = {key: old.manifest[key] for key in ("stage", "settings", "seed", "parents", "inputs", "result")}
        building.finish(task=task, **kept)


@pytest.fixture
def other_task(monkeypatch):
    monkeypatch.setitem(tasks.TASKS, "other", "other_task")
    module = types.ModuleType("other_task.settings")
    module.Config = OtherConfig  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "other_task", types.ModuleType("other_task"))
    monkeypatch.setitem(sys.modules, "other_task.settings", module)


@pytest.mark.usefixtures("other_task")
def test_a_model_of_another_task(llmkit, tiny_copy):
    other = tiny_copy.run_dir / "other"
    shutil.copytree(tiny_copy.model, other)
    remake(other, "other")
    for stage in ("generate", "evaluate"):
        ran = llmkit(stage, tiny_copy.model, other)
        assert ran.code == 3
        assert ran.error.startswith(f"{other} is a model of task other, {tiny_copy.model} of language")
    remake(tiny_copy.model, "other")
    for stage in ("generate", "evaluate", "compress"):
        ran = llmkit(stage, tiny_copy.config)
        assert ran.code == 3
        assert ran.error.startswith(f"{tiny_copy.model} is a model of task other, not language")
    ran = llmkit("train", tiny_copy.config, f"train.start_from={other}")
    assert ran.code == 3
    assert ran.error.startswith(f"{other} is a model of task other, not language")


def test_a_model_of_a_task_that_is_not_known(llmkit, tiny_copy):
    remake(tiny_copy.model, "sculpture")
    ran = llmkit("generate", tiny_copy.model)
    assert ran.code == 3
    assert ran.error.startswith(f"{tiny_copy.model} does not fit llmkit ")
    assert "task: 'sculpture' is not a task; choose from language" in ran.error


def test_data_prepared_for_another_task(llmkit, tiny_copy):
    remake(tiny_copy.run_dir / "prepared", "other")
    ran = llmkit("train", tiny_copy.config)
    assert ran.code == 3
    place = f"{tiny_copy.run_dir}/prepared"
    assert ran.error == f"{place} was prepared for task other, not language; run: llmkit prepare {tiny_copy.config}"


def test_a_folder_of_another_stage_is_no_model(llmkit, tiny_copy):
    ran = llmkit("generate", tiny_copy.run_dir / "prepared")
    assert ran.code == 3
    assert "prepared was made by prepare, not by train or tune or compress" in ran.error


# --- stale --------------------------------------------------------------------------------------------------


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


def test_a_model_of_data_prepared_before_is_not_evaluated_or_compressed(llmkit, tiny_copy):
    changed = "prepare.split.val=0.2"
    assert llmkit("prepare", tiny_copy.config, changed, "--json").json["splits"]["val"]["characters"] == 800
    for stage in ("evaluate", "compress"):
        ran = llmkit(stage, tiny_copy.config, changed)
        assert ran.code == 3
        assert str(tiny_copy.model) in ran.error
        assert f"run: llmkit train {tiny_copy.config} {changed}" in ran.error
    assert llmkit("evaluate", tiny_copy.config, changed, "--model", "int8").code == 3
    assert llmkit("generate", tiny_copy.config, changed).code == 0


def test_a_variant_of_a_model_trained_before_is_stale(llmkit, tiny_copy):
    assert llmkit("train", tiny_copy.config, "train.steps=2").code == 0
    for stage in ("generate", "evaluate"):
        ran = llmkit(stage, tiny_copy.config, "--model", "int8")
        assert ran.code == 3
        assert ran.error == (
            f"{tiny_copy.int8} is stale: {tiny_copy.model} has been made again since; "
            f"run: llmkit compress {tiny_copy.config} int8"
        )


def test_other_settings_than_a_model_was_trained_with_draw_a_warning(llmkit, tiny_copy):
    ran = llmkit("generate", tiny_copy.config, "train.steps=6")
    assert ran.code == 0
    assert f"warning: {tiny_copy.model} was made with other settings" in ran.err
    assert "train.steps: 5 → 6" in ran.err


# --- up to date, redone, forced, dry ------------------------------------------------------------------------

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


def test_the_figures_of_train(llmkit, tiny_copy):
    found = llmkit("train", tiny_copy.config, "--json").json
    assert found["steps"] == found["best_step"] == 5
    vocabulary = len(json.loads((tiny_copy.model / "tokenizer.json").read_text())["model"]["vocab"])
    # embedding, four gates with one bias, output
    assert found["parameters"] == vocabulary * 8 + 4 * 16 * (8 + 16 + 1) + (16 + 1) * vocabulary
    assert {"tokens", "seconds", "tokens_per_second", "val_loss"} <= found.keys()
    assert found["tokens_per_second"] == pytest.approx(found["tokens"] / found["seconds"])


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
    monkeypatch.setattr("llmkit.stages.train.PROBE_SECONDS", 0)
    place = tiny_copy.run_dir / {"prepare": "prepared", "train": "model"}[stage]
    before = artifacts.read(place).hash
    ran = llmkit(stage, tiny_copy.config, override, "--dry-run", "--json")
    assert ran.json["would_run"] == [why]
    assert ran.json["dry_run"] is True
    ran = llmkit(stage, tiny_copy.config, override, "--json")
    assert (ran.code, "up_to_date" in ran.json) == (0, False)
    assert artifacts.read(place).hash != before
    assert llmkit(stage, tiny_copy.config, override, "--json").json["up_to_date"] is True


def test_a_budget_on_the_command_line_replaces_that_of_the_file(llmkit, tiny_copy):
    assert llmkit("train", tiny_copy.config, "train.steps=2", "--json").json["steps"] == 2
    found = llmkit("train", tiny_copy.config, "train.epochs=0.1", "--json").json
    # a tenth of 3,200 characters and the boundary, overshot by less than the longest step: 4 streams of 19
    assert 320.1 <= found["tokens"] < 320.1 + 4 * 19
    assert llmkit("train", tiny_copy.config, "--json").json["steps"] == 5


def test_another_version_of_llmkit_makes_it_again(llmkit, tiny_copy, monkeypatch):
    monkeypatch.setattr(package, "__version__", "0.0.0")
    ran = llmkit("prepare", tiny_copy.config, "--dry-run", "--json").json
    assert ran["would_run"] == [f"llmkit {artifacts.LLMKIT_VERSION} → 0.0.0"]


@pytest.mark.parametrize("stage", FINISHED)
def test_force_makes_the_same_again(llmkit, tiny_copy, stage):
    place = {"prepare": tiny_copy.run_dir / "prepared", "train": tiny_copy.model, "compress": tiny_copy.int8}[stage]
    before, inode = files(place), place.stat().st_ino
    ran = llmkit(stage, tiny_copy.config, "--force", "--json")
    assert (ran.code, "up_to_date" in ran.json) == (0, False)
    assert place.stat().st_ino != inode
    assert files(place) == before  # bit for bit


@pytest.mark.parametrize("stage", ["prepare", "train", "tune", "compress", "generate", "evaluate"])
def test_a_dry_run_writes_nothing(llmkit, tiny_copy, monkeypatch, stage):
    monkeypatch.setattr("llmkit.stages.train.PROBE_SECONDS", 0)
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


def test_a_dry_run_of_train_tells_steps_memory_and_time(llmkit, tiny_copy, monkeypatch):
    monkeypatch.setattr("llmkit.stages.train.PROBE_SECONDS", 0)
    found = llmkit("train", tiny_copy.config, "train.steps=1000", "--dry-run", "--json").json
    assert found["steps"] == 1000
    assert found["memory_bytes"] > 10_000_000
    assert found["minutes"] > 0


def test_a_dry_run_refuses_what_the_run_would_refuse(llmkit, tiny_fresh):
    assert llmkit("train", tiny_fresh.config, "--dry-run").code == 3


# --- requirements -------------------------------------------------------------------------------------------


def test_a_requirement_that_is_not_met_exits_with_4(llmkit, tiny_copy):
    ran = llmkit("evaluate", tiny_copy.config, 'evaluate.require={bits_per_byte: "< 0.5", loss: ">= 0"}')
    assert ran.code == 4
    assert re.search(r"error: a requirement is not met: model: bits_per_byte is [0-9.]+, required: < 0.5\n$", ran.err)
    assert "bits_per_byte" in ran.out  # the figures are shown all the same


def test_a_requirement_that_is_not_met_keeps_the_figures_in_the_json(llmkit, tiny_copy):
    ran = llmkit("evaluate", tiny_copy.config, 'evaluate.require={bits_per_byte: "< 0.5"}', "--json")
    assert ran.code == 4
    assert ran.json["bits_per_byte"] > 0.5
    assert "bits_per_byte" in ran.error


def test_requirements_are_checked_for_each_model_and_again_when_up_to_date(llmkit, tiny_copy):
    models = ["--model", "model", "--model", "int8"]
    assert llmkit("evaluate", tiny_copy.config, *models, 'evaluate.require={perplexity: "> 1"}').code == 0
    ran = llmkit("evaluate", tiny_copy.config, *models, "evaluate.require={perplexity: < 1.5}", "--json")
    assert ran.code == 4
    assert [row["up_to_date"] for row in ran.json["models"]] == [True, True]
    assert ran.error.count("perplexity is") == 2


def test_a_requirement_on_no_figure_exits_with_2(llmkit, tiny_copy):
    ran = llmkit("evaluate", tiny_copy.config, "evaluate.require={bits_per_bite: < 3}")
    assert ran.code == 2
    assert ran.error.startswith("evaluate.require: 'bits_per_bite' is no figure; there are: loss, bits_per_byte")
    again = llmkit("evaluate", tiny_copy.config, "evaluate.require={bits_per_bite: < 3}")
    assert again.error == ran.error


# --- two writers --------------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from llmkit.store import artifacts
with artifacts.lock(Path(sys.argv[1]), "llmkit train elsewhere.yaml"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_dir_in_use_is_refused_and_its_user_named(llmkit, tiny_copy):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tiny_copy.run_dir], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for stage in ("prepare", "train", "tune", "compress"):
            ran = llmkit(stage, tiny_copy.config, "--force")
            assert ran.code == 3
            assert ran.error.startswith(f"{tiny_copy.run_dir} is in use by process {holder.pid} ")
            assert "(llmkit train elsewhere.yaml, since " in ran.error
        assert llmkit("train", tiny_copy.config).code == 0  # up to date: nothing to write
    assert llmkit("prepare", tiny_copy.config, "--force").code == 0


# --- interrupted --------------------------------------------------------------------------------------------


@pytest.fixture
def signalled(monkeypatch):
    """Makes training send itself a signal in one of its steps."""
    from llmkit.tasks.language.train import LanguageLearner

    def signalled(number: int, at: int) -> None:
        steps = []

        def step(learner, learning_rate, original=LanguageLearner.step):
            steps.append(learning_rate)
            if len(steps) == at:
                os.kill(os.getpid(), number)
            return original(learner, learning_rate)

        monkeypatch.setattr(LanguageLearner, "step", step)

    yield signalled


def not_trained(run: Any) -> None:
    for name in ("model", "compressed", "work"):
        shutil.rmtree(run.run_dir / name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_goes_on_to_the_same_bytes(llmkit, tiny_copy, monkeypatch, signalled, number):
    before, result = files(tiny_copy.model), artifacts.read(tiny_copy.model).manifest["result"]
    not_trained(tiny_copy)
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
    assert files(tiny_copy.model) == before
    assert artifacts.read(tiny_copy.model).manifest["result"] == result


def test_fresh_drops_the_checkpoints(llmkit, tiny_copy, signalled):
    before = files(tiny_copy.model)
    not_trained(tiny_copy)
    signalled(signal.SIGTERM, at=2)
    assert llmkit("train", tiny_copy.config).code == 130
    ran = llmkit("train", tiny_copy.config, "--fresh")
    assert ran.code == 0
    assert "going on" not in ran.err
    assert files(tiny_copy.model) == before


def test_an_interrupted_run_of_other_settings_is_neither_continued_nor_dropped(llmkit, tiny_copy, signalled):
    not_trained(tiny_copy)
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
    before = files(tiny_copy.model)
    signalled(signal.SIGTERM, at=4)
    assert llmkit("train", tiny_copy.config, "--force").code == 130
    assert "going on from step 4 " in llmkit("train", tiny_copy.config, "--force").err
    assert files(tiny_copy.model) == before
    assert "going on" not in llmkit("train", tiny_copy.config, "--force").err


# --- tune ---------------------------------------------------------------------------------------------------

SEARCH = ["tune.trials=3", "tune.trial_budget=0.4", "tune.search={train.learning_rate: {choices: [0.01, 0.001, 0.1]}}"]


def test_a_search_is_done_up_to_date_redone_and_interrupted(llmkit, tiny_copy, signalled):
    ran = llmkit("tune", tiny_copy.config, *SEARCH, "--json")
    assert ran.code == 0
    found = ran.json
    assert [trial["trial"] for trial in found["trials"]] == [0, 1, 2]
    assert found["trials"][0]["settings"] == {"train.learning_rate": 0.01}  # the config's own comes first
    best = min(
        (trial for trial in found["trials"] if trial["state"] == "complete"), key=lambda trial: trial["val_loss"]
    )
    assert (found["best_trial"], found["best_settings"]) == (best["trial"], best["settings"])
    assert found["steps"] == 5  # the winner at the full budget, the trials at two fifths of it
    assert llmkit("tune", tiny_copy.config, *SEARCH, "--json").json == found | {"up_to_date": True}
    settings = yaml.safe_load((tiny_copy.run_dir / "tuned" / "best.yaml").read_text())
    assert settings["train"]["learning_rate"] == best["settings"]["train.learning_rate"]
    assert llmkit("generate", tiny_copy.config, "--model", "tuned").code == 0
    # a longer search goes on, another one starts anew, an interrupted one is gone on with
    longer = ["tune.trials=4", *SEARCH[1:]]
    assert llmkit("tune", tiny_copy.config, *longer, "--json").json["trials"][:3] == found["trials"]
    signalled(signal.SIGINT, at=3)
    assert llmkit("tune", tiny_copy.config, *SEARCH, "train.batch_size=2").code == 130
    assert llmkit("tune", tiny_copy.config, *SEARCH, "train.batch_size=3").code == 3
    ran = llmkit("tune", tiny_copy.config, *SEARCH, "train.batch_size=2", "--json")
    assert ran.code == 0
    assert "trial 1 of 3" not in ran.err
    assert len(ran.json["trials"]) == 3


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            "{train.learning_rat: {low: 1, high: 2}}",
            "train.learning_rat: there is no such key; did you mean learning_rate?",
        ),
        ("{prepare.clean: {choices: [none]}}", "prepare.clean: only keys of model and train can be searched"),
        ("{model.dropout: {low: 0.5, high: 1.5}}", "tune.search: model.dropout: expected a number < 1.0, got 1.5"),
        ("{model.layers: {choices: [1, two]}}", "model.layers: expected a whole number, got text 'two'"),
    ],
)
def test_a_search_that_cannot_be(llmkit, tiny_copy, search, message):
    ran = llmkit("tune", tiny_copy.config, f"tune.search={search}")
    assert ran.code == 2
    assert message in ran.error
    assert not (tiny_copy.run_dir / "tuned").exists()


# --- a full disk --------------------------------------------------------------------------------------------


def clean(run_dir: Path) -> bool:
    """No folder half-built, no old one left."""
    return not [path for path in run_dir.rglob("*") if "building" in path.name or path.name.endswith((".old", ".tmp"))]


def test_a_full_disk_while_the_weights_are_written(llmkit, tiny_copy, monkeypatch):
    from safetensors import SafetensorError

    def full(tensors, path):
        Path(path).write_bytes(b"half of the weights")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    before = snapshot(tiny_copy.model), snapshot(tiny_copy.int8)
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.numpy.save_file", full)
        for stage, place in (("train", tiny_copy.model), ("compress", tiny_copy.int8)):
            ran = llmkit(stage, tiny_copy.config, "--force", "--json")
            assert ran.code == ran.json["error"]["code"] == 3
            assert ran.error.split("\n")[-1] == (
                f"{place} was not written: No space left on device; free some space, then run it again"
            )
    assert (snapshot(tiny_copy.model), snapshot(tiny_copy.int8)) == before
    assert clean(tiny_copy.run_dir)
    assert llmkit("train", tiny_copy.config, "--json").json["up_to_date"] is True


@pytest.mark.parametrize("stage", ["prepare", "train", "tune", "compress", "generate", "evaluate"])
def test_a_disk_that_is_full_when_the_manifest_is_flushed(llmkit, tiny_copy, monkeypatch, stage):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept = {name: snapshot(tiny_copy.run_dir / name) for name in ("prepared", "model", "compressed")}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        ran = llmkit(stage, tiny_copy.config, "--force", "--json")
    assert ran.code == 3
    assert "No space left on device; free some space, then run it again" in ran.error
    assert {name: snapshot(tiny_copy.run_dir / name) for name in kept} == kept
    assert clean(tiny_copy.run_dir)


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # bytes in one file; the system refuses more
from llmkit.cli.main import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_limit_that_the_system_itself_sets(tiny_copy):
    before = snapshot(tiny_copy.run_dir / "prepared")  # its train.npy has more than 3,000 bytes
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, "prepare", tiny_copy.config, "--force"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 3
    assert ran.stderr == (
        f"error: {tiny_copy.run_dir}/prepared was not written: File too large; free some space, then run it again\n"
    )
    assert snapshot(tiny_copy.run_dir / "prepared") == before
    assert clean(tiny_copy.run_dir)


# --- evaluate -----------------------------------------------------------------------------------------------

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


def test_compress_beside_the_original(llmkit, tiny_copy):
    ran = llmkit("compress", tiny_copy.config, "int8", "--force")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == ["model", "-----", "model", "int8"]
    found = llmkit("compress", tiny_copy.config, "--json").json
    assert found["original"]["size_bytes"] == found["times_smaller"] * found["size_bytes"]
    assert found["val_loss_increase_percent"] == pytest.approx(
        100 * (found["val_loss"] / found["original"]["val_loss"] - 1), abs=1e-9
    )


def test_compress_without_variants(llmkit, tiny_copy):
    ran = llmkit("compress", tiny_copy.config, "compress={}")
    assert ran.code == 2
    assert "has no variants" in ran.error


# --- generate -----------------------------------------------------------------------------------------------

LONG = ["--max-tokens", "30", "--no-stop-at-document-end"]


def test_the_json_of_generate(llmkit, tiny_run):
    found = llmkit("generate", tiny_run.model, "--prompt", "the ", "--json", *LONG).json
    assert found.keys() >= {"stage", "texts", "tokens", "seconds", "tokens_per_second", "engine"}
    assert (found["stage"], found["engine"], found["tokens"]) == ("generate", "onnxruntime", 30)
    [text] = found["texts"]
    assert (text["prompt"], text["tokens"], text["finish_reason"], len(text["text"])) == ("the ", 30, "length", 30)
    assert found["tokens_per_second"] == pytest.approx(30 / found["seconds"])


def test_the_json_lines_of_generate(llmkit, tiny_run):
    ran = llmkit("generate", tiny_run.model, "--prompt", "a", "--prompt", "b", "--samples", "2", "--jsonl", *LONG)
    assert ran.code == 0
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [row["prompt"] for row in rows] == ["a", "a", "b", "b"]
    assert [row["tokens"] for row in rows] == [30] * 4
    assert len({row["text"] for row in rows}) == 4


def test_the_same_seed_gives_the_same_text(llmkit, tiny_run):
    def text(*options):
        return llmkit("generate", tiny_run.model, "--prompt", "the ", "--quiet", *LONG, *options).out

    assert text() == text() == text("--seed", "1")
    assert text("--seed", "2") == text("--seed", "2") != text()
    assert len(text()) == len("the ") + 30 + len("\n")


def test_greedy_is_temperature_0_and_needs_no_seed(llmkit, tiny_run):
    def text(*options):
        return llmkit("generate", tiny_run.model, "--prompt", "the ", "--json", *LONG, *options).json["texts"][0][
            "text"
        ]

    assert text("--greedy") == text("--temperature", "0") == text("--top-k", "1", "--seed", "8")


def test_settings_of_the_config_options_and_overrides(llmkit, tiny_copy):
    def tokens(*arguments):
        return llmkit("generate", tiny_copy.config, "--no-stop-at-document-end", "--json", *arguments).json["tokens"]

    assert tokens() == 20
    assert tokens("generate.max_tokens=3") == 3
    assert tokens("generate.max_tokens=3", "--max-tokens", "4") == 4


@pytest.mark.parametrize("options", [[], ["--prompt", ""]])
def test_an_empty_prompt(llmkit, tiny_run, options):
    ran = llmkit("generate", tiny_run.model, "--json", *LONG, *options)
    assert (ran.code, ran.err.count("warning")) == (0, 0)
    assert (ran.json["texts"][0]["prompt"], ran.json["tokens"]) == ("", 30)


def test_unknown_characters_of_a_prompt_are_named_and_read_on(llmkit, tiny_run):
    ran = llmkit("generate", tiny_run.model, "--prompt", "the É dog €", "--quiet", *LONG)
    assert ran.code == 0
    assert ran.out.startswith("the É dog €")
    [line] = ran.err.splitlines()
    assert line.startswith("warning: ")
    assert "'É' (U+00C9)" in line
    assert "'€' (U+20AC)" in line
    assert "'d'" not in line


def test_a_stop_string_ends_the_text_and_is_not_written(llmkit, tiny_run):
    def written(*options):
        ran = llmkit("generate", tiny_run.model, "--prompt", "the ", "--seed", "3", "--json", *LONG, *options)
        return ran.json["texts"][0]

    whole = written()["text"]
    stop = whole[11:14]
    found = written("--stop", stop, "--stop", "not in it")
    assert found["text"] == whole[: whole.index(stop)]
    assert found["finish_reason"] == "stop"
    shown = llmkit("generate", tiny_run.model, "--prompt", "the ", "--seed", "3", "--quiet", *LONG, "--stop", stop)
    assert shown.out == f"the {found['text']}\n"


def test_samples_are_told_apart(llmkit, tiny_run):
    ran = llmkit("generate", tiny_run.model, "--prompt", "the", "--samples", "3", "--quiet", *LONG)
    assert ran.code == 0
    assert re.findall(r"^--- text ([0-9]+)\nthe", ran.out, re.MULTILINE) == ["1", "2", "3"]


def test_prompts_of_files_and_standard_input(llmkit, tiny_run, tmp_path):
    def prompts(*arguments, stdin=None):
        found = llmkit("generate", tiny_run.model, "--json", "--max-tokens", "1", *arguments, stdin=stdin).json
        return [text["prompt"] for text in found["texts"]]

    lines, rows = tmp_path / "prompts.txt", tmp_path / "prompts.jsonl"
    lines.write_text("the fox\n\na dog\n")
    rows.write_text('{"prompt": "one\\ntwo"}\n{"prompt": ""}\n')
    assert prompts("--prompt-file", lines) == ["the fox", "a dog"]
    assert prompts("--prompt-file", rows, "--prompt", "first") == ["first", "one\ntwo", ""]
    assert prompts("--prompt", "-", stdin=b"the fox\n") == ["the fox"]
    assert prompts("--prompt-file", "-", stdin=b"the fox\n\na dog\n") == ["the fox", "a dog"]


def test_prompts_that_cannot_be_read(llmkit, tiny_run, tmp_path):
    ran = llmkit("generate", tiny_run.model, "--prompt-file", tmp_path / "nowhere.txt")
    assert ran.code == 3
    assert "nowhere.txt" in ran.error
    ran = llmkit("generate", tiny_run.model, "--prompt", "-", stdin=b"\xff")
    assert (ran.code, ran.error) == (3, "standard input is not UTF-8 text (byte 0)")


def test_texts_are_kept_beside_a_config_and_not_beside_a_folder(llmkit, tiny_copy):
    before = snapshot(tiny_copy.run_dir)
    llmkit("generate", tiny_copy.model, *LONG)
    assert snapshot(tiny_copy.run_dir) == before
    found = llmkit("generate", tiny_copy.config, "--model", "int8", "--json", *LONG).json
    kept = json.loads((tiny_copy.run_dir / "generated" / "result.json").read_text())
    assert kept["texts"] == found["texts"]
    assert (
        artifacts.read(tiny_copy.run_dir / "generated").manifest["parents"]["model"]
        == artifacts.read(tiny_copy.int8).hash
    )


def test_several_folders_give_rows(llmkit, tiny_run):
    found = llmkit("generate", tiny_run.model, tiny_run.int8, "--json", *LONG).json
    assert found.keys() == {"stage", "models"}
    assert [row["model"] for row in found["models"]] == [str(tiny_run.model), str(tiny_run.int8)]


def test_a_folder_whose_name_has_an_equals_sign(llmkit, tiny_run, tmp_path):
    folder = tmp_path / "lr=0.1"
    shutil.copytree(tiny_run.model, folder)
    assert (
        llmkit("generate", folder, "generate.max_tokens=2", "--json", "--no-stop-at-document-end").json["tokens"] == 2
    )


def test_text_that_looks_like_a_number_survives_in_a_model_folder(llmkit, tiny_copy):
    override = "generate.stop=['1e5', '0o7', 'on']"
    assert llmkit("train", tiny_copy.config, override, "--force").code == 0
    assert llmkit("generate", tiny_copy.model, "--json", *LONG).code == 0
    assert yaml.safe_load((tiny_copy.model / "config.yaml").read_text())["generate"]["stop"] == ["1e5", "0o7", "on"]


def test_a_config_may_have_any_name(llmkit, tiny_copy):
    other = tiny_copy.config.rename(tiny_copy.config.with_name("experiment.conf"))
    assert llmkit("generate", other, "--json", *LONG).json["tokens"] == 30


def test_a_model_folder_moved_aside_by_a_crash_is_put_back(llmkit, tiny_copy):
    for folder in (tiny_copy.model, tiny_copy.run_dir / "prepared"):
        folder.rename(folder.with_name(folder.name + ".old"))
    assert llmkit("generate", tiny_copy.model, *LONG).code == 0
    assert llmkit("evaluate", tiny_copy.config).code == 0
    assert not list(tiny_copy.run_dir.glob("*.old"))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["generate", "CONFIG", "--prompt", "a\udcff"], 2, "is not UTF-8 text"),
        (["generate", "CONFIG", "--temperature", "1e300"], 2, "generate.temperature"),
        (["generate", "CONFIG", "--json", "--jsonl"], 2, "choose one"),
        (["train", "CONFIG", "--force", "model.hidden_size=65536"], 2, "not enough memory"),
        (["compress", "CONFIG", "compress={../x: {method: quantize}}"], 2, "a variant's name is a folder's"),
        (["compress", "CONFIG", "compress={tuned: {method: quantize}}"], 2, "the name is taken"),
        (["compress", "CONFIG", "--model", "int8"], 2, "is compressed already; compress model or tuned"),
        (["evaluate", "CONFIG", "--on", "nowhere"], 3, "there is no such file; name a file, a folder or a glob"),
        (["evaluate", "RUN_DIR"], 3, "did you mean"),
        (["prepare", "CONFIG", "run_dir="], 2, "run_dir"),
    ],
)
def test_what_new_users_did_wrong(llmkit, tiny_copy, words, code, message):
    places = {"CONFIG": tiny_copy.config, "RUN_DIR": tiny_copy.run_dir}
    ran = llmkit(*(places.get(word, word) for word in words))
    assert ran.code == code
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_an_empty_prompt_file_is_named(llmkit, tiny_copy, tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    ran = llmkit("generate", tiny_copy.config, "--prompt-file", tmp_path / "empty.txt")
    assert ran.code == 3
    assert "holds no prompts" in ran.err


def test_other_files_are_read_with_the_field_named_now(llmkit, tiny_copy, tmp_path):
    (tmp_path / "rows.csv").write_text("id,text\n1,the quick brown fox\n")
    ran = llmkit("evaluate", tiny_copy.config, "--on", tmp_path / "rows.csv", "prepare.field=text", "--json")
    assert ran.code == 0
    assert ran.json["tokens"] == len("the quick brown fox")


def test_a_dry_run_says_that_an_interrupted_run_goes_on(llmkit, tiny_copy, monkeypatch, signalled):
    not_trained(tiny_copy)
    with monkeypatch.context():
        signalled(signal.SIGTERM, at=3)
        assert llmkit("train", tiny_copy.config).code == 130
    ran = llmkit("train", tiny_copy.config, "--dry-run", "--json")
    assert ran.json["goes_on_from_step"] == 3
