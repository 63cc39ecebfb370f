"""Averages of models: against hand-made members, never worse than the best, refused where members do not fit."""

from dataclasses import replace

import numpy as np
import pytest

from llmkit.compression import methods, soup
from llmkit.compression.model import validation_loss
from llmkit.errors import InputError
from llmkit.stages.train import train
from llmkit.tasks import experiment as experiments
from llmkit.tasks.language.settings import Fuse


def shifted(model, by):
    return replace(model, weights={name: (array + np.float32(by)) for name, array in model.weights.items()})


def test_the_average_of_two_is_between_them(job):
    found = soup.average([shifted(job.original, 0.25), shifted(job.original, -0.75)])
    for name, array in job.original.weights.items():
        np.testing.assert_allclose(found.weights[name], array - 0.25, atol=1e-6)


def test_a_soup_of_equal_models_is_that_model(job):
    found, record = soup.greedy([job.original, job.original], ["a", "b"], job)
    assert found.digest == job.original.digest == soup.average([job.original] * 2).digest
    assert record["kept"] == ["a"]


def test_a_member_that_harms_is_left_out_and_one_that_helps_is_taken(job):
    """The two members err to either side, so that their average is the original; the third is far off."""
    members = [shifted(job.original, 0.05), shifted(job.original, -0.05), shifted(job.original, 3.0)]
    losses = [validation_loss(member, job) for member in members]
    assert validation_loss(job.original, job) < min(losses)
    found, record = soup.greedy(members, ["up", "down", "far"], job)
    assert record["member_losses"] == losses
    assert set(record["kept"]) == {"up", "down"}
    assert validation_loss(found, job) <= min(losses)


def test_a_soup_of_runs_from_one_start(job, tiny_run, started):
    variant = Fuse(members=[str(tiny_run.model), *map(str, started)])
    made = methods.apply(variant, job.original, job)
    [record] = made.done
    assert validation_loss(made, job) <= min(record["member_losses"])
    assert record["kept"][0] == variant.members[int(np.argmin(record["member_losses"]))]


def test_members_of_other_sizes_or_origin_are_refused(job, tiny_run, other_sizes, started):
    with pytest.raises(InputError, match=r"no origin in common.*how: distil"):
        methods.apply(Fuse(members=[str(tiny_run.model), str(other_sizes)]), job.original, job)
    with pytest.raises(InputError, match=r"b and a have other sizes \(embedding: \(30, 8\) and \(1, 1\)\)"):
        soup.check_sizes([replace(job.original, weights={"embedding": np.ones((1, 1))}), job.original], ["a", "b"])


def test_a_member_of_another_vocabulary_is_refused(job, tiny_run, tmp_path):
    from conftest import write_tiny_config

    from llmkit.stages.prepare import prepare

    (tmp_path / "other.txt").write_text("0123456789 " * 300)
    write_tiny_config(tmp_path / "other.yaml", tmp_path / "other.txt", tmp_path / "other")
    loaded = experiments.load(tmp_path / "other.yaml", ["train.steps=1"])
    prepare(loaded)
    train(loaded)
    for variant in (
        Fuse(members=[str(tiny_run.model), str(tmp_path / "other" / "model")]),
        Fuse(members=[str(tiny_run.model), str(tmp_path / "other" / "model")], how="distil"),
    ):
        with pytest.raises(InputError, match="different vocabularies"):
            methods.apply(variant, job.original, job)
