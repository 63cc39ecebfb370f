"""models.py: a model of another task, of another stage, of data or of a model made before; other settings now."""

import shutil
import sys
import types
from pathlib import Path
from typing import Literal

import pytest
import yaml

from llmkit import tasks
from llmkit.store import artifacts
from llmkit.tasks.contract import Task
from llmkit.tasks.language import settings as language


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
    monkeypatch.setitem(tasks.TASKS, "other", Task("other", "other_task"))
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


def test_what_one_training_was_told_is_no_difference_later(llmkit, tiny_fresh):
    assert llmkit("prepare", tiny_fresh.config).code == 0
    assert llmkit("train", tiny_fresh.config, "train.steps=2").code == 0
    ran = llmkit("generate", tiny_fresh.config, "--prompt", "a", "--max-tokens", "1")
    assert ran.code == 0 and "other settings" not in ran.err
    ran = llmkit("generate", tiny_fresh.config, "--prompt", "a", "--max-tokens", "1", "train.batch_size=2")
    assert "other settings than the config has now (train.batch_size: 4 → 2)" in " ".join(ran.err.split())
