"""setup.py: what decides a training and its checkpoints, where its weights start, what it needs to run at all."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import setup_of

from llmkit.errors import ConfigError, InputError
from llmkit.fitting import setup as setups
from llmkit.store import artifacts, manifests
from llmkit.tasks import TASKS, experiment as experiments
from llmkit.training.devices import Hardware
from llmkit.training.distributed import Processes

WITHOUT_A_SAY = [
    "train.checkpoint_steps=7",
    "train.checkpoint_minutes=9",
    "train.keep_checkpoints=5",
    "train.tensorboard=true",
]


def test_what_is_trained_and_where(tiny_run):
    setup = setup_of(tiny_run)
    assert setup.task is TASKS["language"]
    assert setup.work == tiny_run.run_dir / "work"
    assert setups.hardware(setup) == Hardware(torch.device("cpu"), torch.float32)


def test_how_often_the_work_is_saved_does_not_decide_what_a_model_is(tiny_run):
    plain = setup_of(tiny_run)
    deciding = setups.deciding(plain.settings)
    assert (deciding["train"]["steps"], deciding["model"]["hidden_size"]) == (5, 16)
    saving = setup_of(tiny_run, *WITHOUT_A_SAY, "generate.top_k=3", "tune.trials=2")
    assert setups.deciding(saving.settings) == deciding
    assert setups.fingerprint(saving) == setups.fingerprint(plain)


@pytest.mark.parametrize("override", ["train.learning_rate=0.5", "train.patience=3", "model.hidden_size=8", "seed=2"])
def test_a_checkpoint_of_other_settings_is_another(tiny_run, override):
    changed = manifests.differences(
        setups.fingerprint(setup_of(tiny_run)), setups.fingerprint(setup_of(tiny_run, override))
    )
    key, _, value = override.partition("=")
    [line] = changed
    assert line.startswith(f"{key}: ") and line.endswith(f" → {value}")


def test_a_checkpoint_is_of_its_data_its_machine_its_start_and_its_processes(tiny_run):
    setup = setup_of(tiny_run)
    found = setups.fingerprint(setup)
    machine = {"device": "cpu", "number_type": "torch.float32", "torch": torch.__version__}
    assert found == setups.deciding(setup.settings) | machine | {"seed": 1, "prepared": setup.prepared.hash}
    among = setups.fingerprint(replace(setup, processes=Processes(1, 2)))
    assert among == found | {"processes": 2}
    start = setups.fingerprint(setup_of(tiny_run, f"train.start_from={tiny_run.model}"))
    assert start["start_from"] == artifacts.read(tiny_run.model).hash


def exported(setup):
    return setups.learner(setup).export().weights


def test_weights_are_drawn_by_the_seed_or_those_of_a_model(tiny_run):
    first, again, other = (exported(setup_of(tiny_run, f"seed={seed}")) for seed in (1, 1, 2))
    assert all((first[name] == again[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)
    model = experiments.read_model(tiny_run.model).weights()
    started = exported(setup_of(tiny_run, f"train.start_from={tiny_run.model}"))
    assert started.keys() == model.keys()
    for name in model:
        np.testing.assert_allclose(started[name], model[name], atol=1e-6)


def test_what_training_cannot_start_from(tiny_run, monkeypatch):
    assert setups.start_folder(setup_of(tiny_run)) is None
    with pytest.raises(ConfigError, match="train.start_from: .*/int8 has no float weights to train on; name a train"):
        setups.start_folder(setup_of(tiny_run, f"train.start_from={tiny_run.int8}"))
    setup = setup_of(tiny_run, f"train.start_from={tiny_run.model}")
    assert setups.start_folder(setup).path == Path(tiny_run.model)
    monkeypatch.setattr(setup.task.settings, "STARTS_FROM", ("classify", "table"))
    problem = f"^{tiny_run.model} is a model of task language, not classify or table; name a model of task classify or"
    with pytest.raises(InputError, match=problem):
        setups.start_folder(setup)


def test_too_little_memory_for_a_network_says_what_to_lower(tiny_run, monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 TB")

    setup = setup_of(tiny_run)
    monkeypatch.setattr(setup.task.train, "learner", refuse)
    with pytest.raises(ConfigError, match="train.batch_size 4 and model.embedding_size 8, model.hidden_size 16, .*low"):
        setups.learner(setup)


def test_what_is_not_installed_is_named_with_the_command_to_run(monkeypatch):
    setups.require_torch()
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("onnx", "optuna") else find(name))
    with pytest.raises(ConfigError, match=r"this stage needs onnx, optuna; install them with: pip install '\.\[train"):
        setups.require_torch()
