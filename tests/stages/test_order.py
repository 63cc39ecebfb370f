"""A stage before its time: what it needs is missing, and the command that makes it is named, overrides and all."""

import shutil

import pytest


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
