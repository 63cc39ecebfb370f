"""Mistakes on the command line: one line that says what is wrong, the exit code of errors.py, the same in the JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import llmkit as package
from llmkit.stages import prepare as prepare_stage

ROOT = Path(package.__file__).parents[1]
STAGES = ["prepare", "train", "tune", "compress", "generate", "evaluate"]


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'?; see llmkit --help"),
        (["trian", "c.yaml"], "No such command 'trian'. Did you mean 'train'?; see llmkit --help"),
        (["train"], "Missing argument 'CONFIG'; see llmkit train --help"),
        (["generate"], "Missing argument 'CONFIG|MODEL_FOLDER...'; see llmkit generate --help"),
        (["init"], "init: name the config file to write, or --new-key FILE"),
        (["train", "c.yaml", "--frsh"], "No such option: --frsh"),
        (["--nope"], "No such option: --nope"),
        (["evaluate", "c.yaml", "--on"], "Option '--on' requires an argument; see llmkit evaluate --help"),
        (["train", "c.yaml", "--seed", "one"], "Invalid value for '--seed'"),
        (["train", "c.yaml", "--seed", "-1"], "Invalid value for '--seed'"),
        (["train", "c.yaml", "--device", "tpu"], "--device tpu: choose from auto, cpu, cuda"),
        (["generate", "c.yaml", "--device", "tpu"], "--device tpu: choose from auto, cpu, cuda"),
        (
            ["generate", "c.yaml", "--max-tokens", "0"],
            "option --max-tokens: generate.max_tokens: expected a whole number",
        ),
        (["train", "c.yaml", "train.stps=1"], "override train.stps=1: train.stps: unknown key; did you mean steps?"),
        (["train", "c.yaml", "steps"], "'steps' is not an override; write section.key=value"),
        (["generate", "seed=1"], "name a config file or a model folder"),
        (["generate", "c.yaml", "folder"], "folder: name either one config (and --model NAME) or model folders"),
        (["generate", ".", "--model", "x"], "--model goes with a config; with model folders, name the folders"),
        (["evaluate", "c.yaml", "--model", "x"], "--model x: there is no such model; choose from model, tuned, int8"),
        (["compress", "c.yaml", "x"], "compress has no variant 'x'; the config names: int8"),
        (["compress", "c.yaml", "--model", "a", "--model", "b"], "--model: name one model"),
        (["init", "new.yaml", "--task", "poetry"], "task: 'poetry' is not a task; choose from language"),
    ],
)
def test_a_usage_error_exits_with_2_and_one_line(llmkit, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("seed: 1\n")
    ran = llmkit(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.error.startswith(message)
    assert "\n" not in ran.error
    again = llmkit(*arguments, "--json") if arguments[-1] != "--on" else llmkit(arguments[0], "--json", *arguments[1:])
    assert again.code == 2
    assert again.json == {"error": {"code": 2, "message": ran.error}}
    assert again.error == ran.error
    assert os.listdir() == ["c.yaml"]


def test_a_missing_config_exits_with_3_and_names_init(llmkit, tmp_path):
    ran = llmkit("train", tmp_path / "c.yaml", "--json")
    assert ran.code == 3
    assert ran.error == f"{tmp_path}/c.yaml does not exist; make one with: llmkit init {tmp_path}/c.yaml"
    assert ran.json == {"error": {"code": 3, "message": ran.error}}


def test_a_wrong_config_exits_with_2_and_names_every_line(llmkit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("seed: 1\ntrain:\n  learning_rate: fast\n  stps: 3\n")
    for stage in STAGES:
        ran = llmkit(stage, "c.yaml", "--json")
        assert ran.code == ran.json["error"]["code"] == 2
        assert ran.error.split("\n") == [
            "c.yaml:3: train.learning_rate: expected a number, got text 'fast'",
            "c.yaml:4: train.stps: unknown key; did you mean steps?",
        ]


def test_an_internal_error_exits_with_1_and_shows_where_on_demand(llmkit, tmp_path, monkeypatch):
    (tmp_path / "c.yaml").write_text("seed: 1\n")
    monkeypatch.setattr(prepare_stage, "prepare", lambda *arguments, **options: 1 / 0)
    ran = llmkit("prepare", tmp_path / "c.yaml", "--json")
    assert ran.code == 1
    assert ran.error == "internal error: ZeroDivisionError: division by zero; --verbose shows where"
    assert ran.json == {"error": {"code": 1, "message": ran.error}}
    told = llmkit("prepare", tmp_path / "c.yaml", "--verbose")
    assert told.code == 1
    assert "Traceback (most recent call last)" in told.err
    assert 'test_mistakes.py", line' in told.err


def test_ctrl_c_exits_with_130(llmkit, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    (tmp_path / "c.yaml").write_text("seed: 1\n")
    monkeypatch.setattr(prepare_stage, "prepare", interrupted)
    ran = llmkit("prepare", tmp_path / "c.yaml", "--json")
    assert (ran.code, ran.json) == (130, {"error": {"code": 130, "message": "interrupted"}})


@pytest.mark.skipif(sys.platform != "linux", reason="file names of any bytes")
def test_a_file_name_of_any_bytes_gives_valid_json(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "llmkit", "train", b"\xff.yaml", "--json"], cwd=ROOT, capture_output=True
    )
    assert ran.returncode == 3
    assert json.loads(ran.stdout)["error"]["message"].startswith("\udcff.yaml does not exist")
