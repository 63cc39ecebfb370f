"""write.py: a trained model becomes a folder that reads back, its files with their roles and without any clock."""

import json

import onnx
import pytest
import torch
from small_runs import setup_of

from llmkit.fitting import fit, write
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments

IDENTITY = {"stage": "train", "settings": {"steps": 2}, "seed": 1, "parents": {"prepared": "ab"}}
RUN = ("graph.onnx", "model.safetensors", "config.yaml", "tokenizer.json")


@pytest.fixture(scope="module")
def made(tiny_run, tmp_path_factory):
    """(what was fitted, in two steps; the folder it was written to, with a text beside it)."""
    place = tmp_path_factory.mktemp("write")
    experiment = experiments.load(tiny_run.config, ["train.steps=2", "train.validation_steps=1"])
    setup = setup_of(tiny_run, *experiment.overrides)
    fitted = fit.fit(setup, place / "checkpoints")
    with artifacts.building(place / "model") as folder:
        write.write_model(folder, experiment, fitted, setup.prepared, IDENTITY, {"best.yaml": "seed: é\n"})
    return fitted, experiments.read_model(place / "model")


def test_the_folder_is_the_model_that_was_fitted(made):
    fitted, folder = made
    weights = folder.weights()
    assert weights.keys() == fitted.weights.keys()
    assert all((weights[name] == array).all() for name, array in fitted.weights.items())
    assert folder.settings.train.steps == 2
    told = {"overrides": ["train.steps", "train.validation_steps"]}
    assert folder.result == fitted.result | told and folder.trainable
    manifest = folder.artifact.manifest
    assert {key: manifest[key] for key in IDENTITY} == IDENTITY
    assert manifest["task"] == "language"
    assert (manifest["versions"]["torch"], manifest["versions"]["onnx"]) == (torch.__version__, onnx.__version__)


def test_what_runs_it_counts_and_what_tells_of_it_does_not(made):
    _, folder = made
    records = ("metrics.jsonl", "card.md", "best.yaml")
    assert folder.roles == dict.fromkeys(RUN, "run") | dict.fromkeys(records, "record")
    assert folder.size_bytes == sum((folder.path / name).stat().st_size for name in RUN)


def test_texts_lie_beside_it_and_metrics_without_the_clock(made):
    fitted, folder = made
    assert folder.read_text("best.yaml") == "seed: é\n"
    assert folder.read_text("card.md").startswith("# tiny\n\nA language model made by llmkit ")
    kept = [json.loads(line) for line in folder.read_text("metrics.jsonl").splitlines()]
    timed = [json.loads(line) for line in fitted.metrics_file.read_text().splitlines()]
    assert all(record.pop("seconds") > 0 for record in timed)
    assert kept == timed
    assert [record["step"] for record in kept] == [1, 2]
