"""Compression of a classifier of pictures: variants against their torch network, integers, teacher, members."""

import shutil

import numpy as np
import pytest
import torch
from small_learners import CPU, network_logits, read_all
from small_runs import job_of

from llmkit.compression import methods
from llmkit.compression.model import written
from llmkit.predicting import labels as labellings, metrics
from llmkit.stages.train import train
from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.tasks.vision import calibration, compress, evaluate, use
from llmkit.tasks.vision.settings import Config, Distil, Fuse, Model
from llmkit.tasks.vision.train import learner

VARIANTS = """\
compress:
  sparse:  {method: prune, sparsity: 0.6, steps: 15}
  small:   {method: chain, steps: [{method: prune, sparsity: 0.6, steps: 5}, {method: quantize}]}
  student: {method: distil, model: {width: 8, blocks: 1, dropout: 0.0}, steps: 15}
  best:    {method: budget, max_size_mb: 1, max_loss_increase_percent: 1000, max_minutes: 0.03}
"""


@pytest.fixture
def job(vision_run, tmp_path):
    return job_of(vision_run, tmp_path / "work")


@pytest.fixture(scope="module")
def variants(vision_run, tmp_path_factory):
    """A run directory with all of them, and the metrics of `llmkit compress`."""
    from llmkit.stages.compress import compress as stage

    run_dir = tmp_path_factory.mktemp("variants") / "run"
    shutil.copytree(vision_run.run_dir, run_dir)
    file = run_dir.parent / "vision.yaml"
    file.write_text(vision_run.config.read_text().replace(str(vision_run.run_dir), str(run_dir)) + VARIANTS)
    return run_dir, {row["name"]: row for row in stage(experiments.load(file))["models"]}


def built(folder, prepared):
    """A learner with the torch network of a model folder, and its weights."""
    made = learner(prepared, folder.settings, CPU, pytest.fail)
    compress.load(made, folder.weights())
    return made


@pytest.mark.parametrize("name", ["model", "compressed/sparse", "compressed/student"])
def test_the_graph_of_a_variant_gives_what_its_network_gives(variants, name):
    run_dir, _ = variants
    folder = experiments.read_model(run_dir / name)
    prepared, model = Files(run_dir / "prepared"), use.load(folder)
    logits = model.outputs(read_all(model, evaluate.of_split(folder, prepared, "val")))
    np.testing.assert_allclose(logits, network_logits(built(folder, prepared)), rtol=2e-3, atol=2e-3)


def test_metrics_of_the_variants(variants):
    _, rows = variants
    assert rows["sparse"]["zeros"] == round(0.6 * rows["sparse"]["prunable"])
    assert "unmet" not in rows["best"] and len(rows["best"]["candidates"]) > 1
    assert rows["small"]["size_bytes"] < rows["sparse"]["size_bytes"]
    assert all(row["examples_per_second"] > 0 for row in rows.values())


def test_int8_is_a_quarter_of_the_weights_and_says_the_same(vision_run):
    whole, fewer = (experiments.read_model(place) for place in (vision_run.model, vision_run.int8))
    sizes = [(folder.path / "model.safetensors").stat().st_size for folder in (whole, fewer)]
    assert sizes[1] < 0.4 * sizes[0]
    kinds = {array.dtype for name, array in fewer.weights().items() if name.endswith(("first", "second"))}
    assert kinds == {np.dtype(np.int8)} and fewer.weights()["stem"].dtype == np.float32
    examples = evaluate.of_split(whole, Files(vision_run.run_dir / "prepared"), "test")
    answers = [model.answers(read_all(model, examples)) for model in map(use.load, (whole, fewer))]
    assert np.abs(answers[0] - answers[1]).max() < 0.2
    assert (answers[0].argmax(axis=1) == answers[1].argmax(axis=1)).mean() > 0.9


def test_ranges_are_those_of_training_pictures(vision_run):
    prepared = Files(vision_run.run_dir / "prepared")
    found = calibration.feeds(None, {}, prepared)["pictures"]
    pictures, of = prepared.array("pictures.npy"), prepared.array("split.npy")
    assert (found == pictures[of == 0]).all()  # fewer than are wanted: all of them


@pytest.mark.parametrize("name", ["int8", "sparse", "student", "small"])
def test_the_temperature_is_the_variants_own(variants, vision_run, name):
    run_dir, _ = variants
    folder = experiments.read_model(vision_run.int8 if name == "int8" else run_dir / "compressed" / name)
    model, examples = use.load(folder), evaluate.of_split(folder, Files(run_dir / "prepared"), "val")
    logits = model.outputs(read_all(model, examples))
    assert labellings.read(folder).temperature == metrics.fit_temperature(logits, examples.targets)


def test_the_answers_are_the_mean_of_the_teachers_probabilities(job):
    made = built(job.folder, job.prepared)
    other = {name: array * np.float32(1.1) for name, array in job.original.weights.items()}
    pairs = [(job.original.settings, job.original.weights), (job.original.settings, other)]
    examples = made.batches.examples
    expected = 0
    for _, weights in pairs:
        compress.load(made, weights)
        with torch.no_grad():
            expected = expected + (made.network.eval()(*made.examples.inputs(examples)) / 1.5).softmax(dim=1) / 2
    compress.taught(made, pairs, 1.5, 0.5, lambda *progress: None)
    answers, temperature = made.objective.teacher
    torch.testing.assert_close(answers[examples], expected, rtol=1e-3, atol=1e-3)
    assert (temperature, made.mix) == (1.5, 0.5)


def test_members_become_one(job, vision_run, tmp_path):
    """A soup of runs from one start, and the student of two runs."""
    shutil.copytree(vision_run.run_dir / "prepared", tmp_path / "a" / "prepared")
    start = f"train.start_from={vision_run.model}"
    train(experiments.load(vision_run.config, [f"run_dir={tmp_path / 'a'}", start, "train.steps=4", "seed=2"]))
    models = [str(vision_run.model), str(tmp_path / "a" / "model")]
    soup = methods.apply(Fuse(members=models), job.original, job)
    assert soup.done[0]["kept"] and written(soup, job, lambda folder: use.load(folder).labels) == ["left", "right"]
    student = methods.apply(Fuse(members=models, how="distil", steps=2), job.original, job)
    assert student.done[0]["started_as"] in models


def test_a_student_that_nobody_describes_has_half_of_the_channels():
    assert compress.half(Config(model=Model(width=48))).model.width == 24
    assert compress.half(Config(model=Model(width=8))).model.width == 8
    assert Distil().model is None
    assert compress.with_less_dropout(Config(model=Model(dropout=0.4)), 0.25).model.dropout == 0.2
