"""Channels: those that nobody reads or writes go first and change nothing; what is left is an ordinary network."""

import numpy as np
import pytest
import torch
from msgspec import structs
from small_learners import CPU, network_logits
from small_runs import job_of, setup_of

from llmkit.compression import methods
from llmkit.compression.model import written
from llmkit.config.variants import Prune
from llmkit.errors import InputError
from llmkit.store.files import Files
from llmkit.tasks.vision import compress, graph, units, use
from llmkit.tasks.vision.settings import Distil, Model
from llmkit.tasks.vision.train import learner


def made(vision_run, width, blocks=1):
    settings = setup_of(vision_run, f"model.width={width}", f"model.blocks={blocks}").settings
    return learner(Files(vision_run.run_dir / "prepared"), settings, CPU, pytest.fail), settings


@pytest.mark.parametrize("blocks", [1, 2])
def test_channels_that_nothing_reads_are_removed_without_a_trace(vision_run, blocks):
    torch.manual_seed(0)
    wide, settings = made(vision_run, 16, blocks)
    for _, layer in wide.network.convolutions():
        torch.nn.init.uniform_(layer.norm.weight, 0.5, 1.0)
        torch.nn.init.normal_(layer.norm.bias, 0.0, 0.2)
    _, arrays = graph.export(wide.network.eval())
    read, _ = units._places(blocks)
    unread = {}
    for name, channels in read.items():
        array = arrays.get(name)
        if array is None:
            continue  # a block that has nothing around it
        count = len(array) if name == "last" else array.shape[1]
        places = unread.setdefault(channels, np.random.default_rng(count).permutation(count)[: count // 2])
        array[places if name == "last" else (slice(None), places)] = 0
    compress.load(wide, arrays)
    smaller, weights = units.without_units(wide, settings, 0.5)
    assert smaller.model.width == 8
    narrow, _ = made(vision_run, 8, blocks)
    compress.load(narrow, weights)
    np.testing.assert_allclose(network_logits(narrow), network_logits(wide), rtol=1e-3, atol=1e-3)
    start = units.units_for(made(vision_run, 8, blocks)[0], wide, settings)
    assert all((start[name] == weights[name]).all() for name in weights)


def test_what_is_no_narrower_network(vision_run):
    wide, settings = made(vision_run, 8)
    with pytest.raises(InputError, match="a network of model.width 8 cannot do without 50 % of its channels"):
        units.without_units(wide, settings, 0.5)
    assert units.units_for(wide, wide, settings) is None
    assert units.units_for(made(vision_run, 8, 2)[0], made(vision_run, 16)[0], settings) is None


def test_compress_removes_channels_and_students_start_with_the_best_of_them(vision_run, tmp_path):
    job = job_of(vision_run, tmp_path / "work")
    wide, settings = made(vision_run, 16)
    original = structs_replaced(job.original, wide, settings)
    job = job_with(job, original)
    pruned = methods.apply(Prune(how="structured", sparsity=0.5, steps=2), original, job)
    assert pruned.settings.model.width == 8 and pruned.weights["stem"].shape[0] == 8
    assert written(pruned, job, lambda folder: use.load(folder).labels) == ["left", "right"]
    student = methods.apply(Distil(model=Model(width=8), steps=2), original, job)
    assert student.done[-1]["started_as"] == "the teacher with fewer units"


def structs_replaced(model, wide, settings):
    """The model with another network."""
    from dataclasses import replace

    exported, arrays = graph.export(wide.network.eval())
    return replace(model, graph=exported, weights=arrays, settings=structs.replace(settings))


def job_with(job, original):
    """A job on another original."""
    job.__dict__["original"] = original
    return job
