"""Compression of a table's classifier: variants against their torch network, zeros, temperature, teacher, members."""

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
from llmkit.tasks.table import compress, evaluate, use
from llmkit.tasks.table.settings import Distil, Fuse, Model
from llmkit.tasks.table.train import learner

VARIANTS = """\
compress:
  sparse:  {method: prune, sparsity: 0.6, steps: 20}
  student: {method: distil, model: {hidden_size: 8, members: 2, embedding_size: 2}, steps: 20}
  small:   {method: chain, steps: [{method: prune, sparsity: 0.6, steps: 20}, {method: quantize}]}
  best:    {method: budget, max_size_mb: 1, max_ms_per_example: 1000, max_loss_increase_percent: 100, max_minutes: 0.05}
"""


@pytest.fixture
def job(table_run, tmp_path):
    return job_of(table_run, tmp_path / "work")


@pytest.fixture(scope="module")
def variants(table_run, tmp_path_factory):
    """A run directory with all of them, and the metrics of `llmkit compress`."""
    from llmkit.stages.compress import compress as stage

    run_dir = tmp_path_factory.mktemp("variants") / "run"
    shutil.copytree(table_run.run_dir, run_dir)
    file = run_dir.parent / "table.yaml"
    file.write_text(table_run.config.read_text().replace(str(table_run.run_dir), str(run_dir)) + VARIANTS)
    return run_dir, {row["name"]: row for row in stage(experiments.load(file))["models"]}


def built(folder, prepared):
    """A learner with the torch network of a model folder, and its weights."""
    made = learner(prepared, folder.settings, CPU, pytest.fail)
    compress.load(made, folder.weights())
    return made


@pytest.mark.parametrize("name", ["sparse", "student"])
def test_the_graph_of_a_variant_gives_what_its_network_gives(variants, name):
    run_dir, _ = variants
    folder = experiments.read_model(run_dir / "compressed" / name)
    prepared, model = Files(run_dir / "prepared"), use.load(folder)
    logits = model.outputs(read_all(model, evaluate.of_split(folder, prepared, "val")))
    np.testing.assert_allclose(logits, network_logits(built(folder, prepared)), rtol=1e-4, atol=1e-4)


def test_metrics_of_the_variants(variants):
    _, rows = variants
    assert rows["sparse"]["zeros"] == round(0.6 * rows["sparse"]["prunable"])
    assert rows["student"]["parameters"] < rows["sparse"]["parameters"]
    assert "unmet" not in rows["best"] and len(rows["best"]["candidates"]) > 1
    assert all(row["examples_per_second"] > 0 for row in rows.values())


@pytest.mark.parametrize("name", ["int8", "sparse", "student", "small"])
def test_the_temperature_is_the_variants_own(variants, table_run, name):
    run_dir, _ = variants
    place = table_run.int8 if name == "int8" else run_dir / "compressed" / name
    folder = experiments.read_model(place)
    model, examples = use.load(folder), evaluate.of_split(folder, Files(run_dir / "prepared"), "val")
    logits = model.outputs(read_all(model, examples))
    labelling = labellings.read(folder)
    assert labelling.temperature == metrics.fit_temperature(logits, examples.targets)
    assert labelling.labels == labellings.read(experiments.read_model(run_dir / "model")).labels


def test_the_answers_are_the_mean_of_the_teachers_probabilities(job, table_run):
    made = built(job.folder, job.prepared)
    other = {name: array + np.float32(0.1) for name, array in job.original.weights.items()}
    pairs = [(job.original.settings, job.original.weights), (job.original.settings, other)]
    examples = made.batches.examples
    expected = 0
    for _, weights in pairs:
        compress.load(made, weights)
        logits = made.network.eval()(*made.examples.inputs(examples)) / 1.5
        expected = expected + logits.softmax(dim=1).detach() / 2
    compress.taught(made, pairs, 1.5, 0.5, lambda *progress: None)
    answers, temperature = made.objective.teacher
    torch.testing.assert_close(answers[examples], expected)
    assert (temperature, made.mix) == (1.5, 0.5)


def test_a_student_that_learns_from_the_teacher_alone_comes_near_it(job):
    distances = []
    examples = evaluate.of_split(job.folder, job.prepared, "val")

    def probabilities(folder):
        model = use.load(folder)
        return model.answers(read_all(model, examples))

    teacher = probabilities(job.folder)
    for steps in (1, 120):
        variant = Distil(model=Model(hidden_size=12, members=4), steps=steps, mix=1.0)
        made = methods.apply(variant, job.original, job)
        student = written(made, job, probabilities)
        distances.append(np.abs(student - teacher).max())
    assert distances[1] < 0.5 * distances[0]


def test_members_become_one(job, table_run, tmp_path):
    """A soup of runs from one start, and the student of two runs of other sizes."""
    shutil.copytree(table_run.run_dir / "prepared", tmp_path / "a" / "prepared")
    shutil.copytree(table_run.run_dir / "prepared", tmp_path / "b" / "prepared")
    train(
        experiments.load(
            table_run.config, [f"run_dir={tmp_path / 'a'}", f"train.start_from={table_run.model}", "seed=2"]
        )
    )
    train(experiments.load(table_run.config, [f"run_dir={tmp_path / 'b'}", "model.hidden_size=8"]))
    models = [str(table_run.model), str(tmp_path / "a" / "model"), str(tmp_path / "b" / "model")]
    soup = methods.apply(Fuse(members=models[:2]), job.original, job)
    assert soup.done[0]["kept"]
    student = methods.apply(Fuse(members=models, how="distil", steps=5), job.original, job)
    assert student.done[0]["started_as"] in models[:2]
    assert student.settings.model.hidden_size == 16


def test_units_are_not_removed(table_run, llmkit):
    ran = llmkit("compress", table_run.config, "compress={half: {method: prune, how: structured}}")
    assert ran.code == 2 and "unstructured" in ran.error
