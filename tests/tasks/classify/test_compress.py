"""Compression of a text classifier: the linear part goes along, the LSTM teaches, variants against their network."""

import shutil

import numpy as np
import pytest
import torch
from small_learners import CPU, network_logits, read_all
from small_runs import job_of

from llmkit.compression import methods
from llmkit.compression.model import written
from llmkit.errors import InputError
from llmkit.predicting import labels as labellings, metrics
from llmkit.tasks import experiment as experiments
from llmkit.tasks.classify import compress, evaluate, use
from llmkit.tasks.classify.settings import Chain, Distil, Fuse, Model, Prune, Quantize
from llmkit.tasks.classify.train import learner


@pytest.fixture
def job(text_run, tmp_path):
    return job_of(text_run, tmp_path / "work")


def built(settings, prepared, weights):
    made = learner(prepared, settings, CPU, pytest.fail)
    compress.load(made, weights)
    return made


@pytest.mark.parametrize(
    "variant",
    [
        Prune(sparsity=0.5, steps=6),
        Distil(model=Model(embedding_size=5, hidden_size=4, ngram_share=0.5), steps=6),
        Distil(model=Model(embedding_size=5, hidden_size=4, ngram_share=0.0), steps=6),
        Distil(steps=6),
    ],
)
def test_the_graph_of_a_variant_gives_what_its_network_gives(job, variant):
    made = methods.apply(variant, job.original, job)
    examples = evaluate.of_split(job.folder, job.prepared, "val")
    expected = network_logits(built(made.settings, job.prepared, made.weights))

    def check(folder):
        model = use.load(folder)
        logits = model.outputs(read_all(model, examples))
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
        assert labellings.read(folder).temperature == metrics.fit_temperature(logits, examples.targets)

    written(made, job, check)
    if isinstance(variant, Distil) and variant.model is None:
        assert (made.settings.model.hidden_size, made.settings.model.embedding_size) == (3, 4)


def test_the_linear_part_of_a_student_is_that_of_its_teacher(job):
    """Both are fitted to the same texts."""
    made = methods.apply(Distil(model=Model(embedding_size=5, hidden_size=4), steps=2), job.original, job)
    np.testing.assert_allclose(made.weights["ngram_table"], job.original.weights["ngram_table"], atol=1e-5)


def test_the_lstm_teaches_without_the_linear_part(job):
    made = built(job.original.settings, job.prepared, job.original.weights)
    examples = made.batches.examples
    network = made.network.eval()
    tokens, counts, *_ = made.examples.inputs(examples)
    expected = network.output(network.pooled(tokens, counts)).softmax(dim=1).detach()
    compress.taught(made, [(job.original.settings, job.original.weights)], 1.0, 0.5, lambda *progress: None)
    answers, _ = made.objective.teacher
    torch.testing.assert_close(answers[examples], expected)


def test_a_pruned_and_rounded_model_is_smaller_and_predicts(job):
    chain = Chain(steps=[Prune(sparsity=0.8, steps=6), Quantize()])
    sizes = []
    for variant in (Quantize(), chain):
        made = methods.apply(variant, job.original, job)
        sizes.append(written(made, job, lambda folder: sum(f.stat().st_size for f in folder.path.iterdir())))
    assert sizes[1] < sizes[0]
    assert made.done[0]["zeros"] == round(0.8 * made.done[0]["prunable"])
    found = written(made, job, lambda folder: use.load(folder).predict("A wonderful film."))
    assert found["label"] in ("positive", "negative")


def test_a_linear_model_alone_is_not_pruned_or_taught(job):
    weights = {name: array for name, array in job.original.weights.items() if name.startswith(("ngram", "linear"))}
    made = learner(job.prepared, job.original.settings, CPU, pytest.fail)
    for refused in (
        lambda: compress.load(made, weights),
        lambda: compress.taught(made, [(job.original.settings, weights)], 1.0, 0.5, lambda *progress: None),
    ):
        with pytest.raises(InputError, match="the LSTM added nothing"):
            refused()


def test_two_runs_become_one(job, text_run, tmp_path):
    from llmkit.stages.train import train

    shutil.copytree(text_run.run_dir / "prepared", tmp_path / "other" / "prepared")
    train(experiments.load(text_run.config, [f"run_dir={tmp_path / 'other'}", "seed=2"]))
    members = [str(text_run.model), str(tmp_path / "other" / "model")]
    made = methods.apply(Fuse(members=members, how="distil", steps=3), job.original, job)
    assert made.done[0]["started_as"] in members
