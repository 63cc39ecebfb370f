"""The graph of a generator against torch, and its int8 form against the graph."""

import numpy as np
import pytest
import torch

from llmkit.errors import InputError
from llmkit.quantization import quantize
from llmkit.runtime.session import Session
from llmkit.store import model_folder
from llmkit.store.files import Files
from llmkit.tasks.image import calibration, graph
from llmkit.tasks.image.network import Generator


def made_by(exported, weights, latents, labels, threads=1):
    session = Session(model_folder.declare_weights(exported, weights), weights, threads)
    feeds = {"latents": latents, "labels": labels}
    return session.run(["pictures"], {name: feeds[name] for name in session.inputs})[0]


@pytest.mark.parametrize(("edge", "colours", "labels"), [(28, 1, 3), (32, 3, 0)])
def test_the_graph_makes_what_the_generator_does(edge, colours, labels):
    torch.manual_seed(0)
    generator = Generator(edge, colours, labels, 12, 8)
    for weight in generator.parameters():
        torch.nn.init.normal_(weight, 0, 0.2)
    exported, weights = graph.export(generator)
    for count in (1, 7):
        latents, numbers = torch.randn(count, 12), torch.randint(0, max(labels, 1), (count,))
        expected = (generator(latents, numbers).permute(0, 2, 3, 1).detach().numpy() + 1) * 127.5
        found = made_by(exported, weights, latents.numpy(), numbers.numpy())
        assert found.shape == (count, edge, edge, colours) and found.dtype == np.uint8
        assert found.std() > 30
        assert np.abs(found - expected).max() <= 0.51  # rounded to the nearest
    other = Generator(edge, colours, labels, 12, 8)
    graph.from_arrays(other, weights)
    torch.testing.assert_close(other(latents, numbers), generator(latents, numbers), rtol=1e-4, atol=1e-4)


def test_int8_makes_nearly_the_same_pictures(tmp_path):
    torch.manual_seed(0)
    generator = Generator(28, 3, 2, 12, 8)
    for weight in generator.parameters():
        torch.nn.init.normal_(weight, 0, 0.2)
    exported, weights = graph.export(generator)
    quantized, fewer = quantize.quantize(exported, weights, calibration.feeds(exported, weights, Files(tmp_path)))
    for name in ("project", "first", "second"):
        assert fewer[name].dtype == np.int8
    for count in (1, 7):
        latents, numbers = np.random.default_rng(1).normal(size=(count, 12)).astype(np.float32), np.arange(count) % 2
        before = made_by(exported, weights, latents, numbers).astype(int)
        after = made_by(quantized, fewer, latents, numbers).astype(int)
        assert np.abs(after - before).mean() < 3 and np.abs(after - before).max() < 40


def test_activations_that_are_no_numbers_cannot_be_quantized(tmp_path):
    exported, weights = graph.export(Generator(28, 1, 0, 4, 4))
    weights["first_bias"][:] = np.inf
    with pytest.raises(InputError, match="no finite numbers"):
        quantize.quantize(exported, weights, calibration.feeds(exported, weights, Files(tmp_path)))
