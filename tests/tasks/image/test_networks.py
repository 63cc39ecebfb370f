"""The networks: what the fused convolution stands for, the graph against torch, int8, random shifts."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from llmkit.errors import InputError
from llmkit.quantization import convolutions, quantize
from llmkit.runtime.session import Session
from llmkit.store import model_folder
from llmkit.tasks.image import calibration, graph
from llmkit.tasks.image.network import Discriminator, Generator, contracted, doubled, expanded
from llmkit.training.augment import shifted


def made_by(exported, weights, latents, labels, threads=1):
    session = Session(model_folder.declare_weights(exported, weights), weights, threads)
    feeds = {"latents": latents, "labels": labels}
    return session.run(["pictures"], {name: feeds[name] for name in session.inputs})[0]


def test_doubling_is_a_convolution_of_repeated_pixels():
    torch.manual_seed(0)
    convolution, h = torch.nn.Conv2d(6, 4, 3, padding=1), torch.randn(2, 6, 5, 7)
    torch.testing.assert_close(doubled(h, convolution), convolution(F.interpolate(h, scale_factor=2)))
    torch.testing.assert_close(contracted(expanded(convolution.weight)), convolution.weight)


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


def test_int8_makes_nearly_the_same_pictures():
    torch.manual_seed(0)
    generator = Generator(28, 3, 2, 12, 8)
    for weight in generator.parameters():
        torch.nn.init.normal_(weight, 0, 0.2)
    exported, weights = graph.export(generator)
    quantized, fewer = quantize.quantize(exported, weights, calibration.feeds(exported, weights))
    for name in ("project", "first", "second"):
        assert fewer[name].dtype == np.int8
    for count in (1, 7):
        latents, numbers = np.random.default_rng(1).normal(size=(count, 12)).astype(np.float32), np.arange(count) % 2
        before = made_by(exported, weights, latents, numbers).astype(int)
        after = made_by(quantized, fewer, latents, numbers).astype(int)
        assert np.abs(after - before).mean() < 3 and np.abs(after - before).max() < 40


def test_windows_compute_a_transposed_convolution():
    generator = torch.Generator().manual_seed(0)
    weight, h = torch.randn(3, 2, 4, 4, generator=generator), torch.randn(1, 3, 5, 5, generator=generator)
    by_windows = F.conv2d(h, torch.from_numpy(convolutions.windows(weight.numpy())), padding=1)  # (1, 8, 6, 6)
    wide = by_windows.reshape(1, 2, 2, 2, 6, 6).permute(0, 3, 4, 1, 5, 2).reshape(1, 2, 12, 12)
    torch.testing.assert_close(wide[..., 1:-1, 1:-1], F.conv_transpose2d(h, weight, stride=2, padding=1))


def test_other_convolutions_and_graphs_without_inputs_to_calibrate_on_stay_as_they_are():
    exported, weights = graph.export(Generator(28, 1, 0, 4, 4))
    _, fewer = quantize.quantize(exported, weights)
    assert fewer["first"].dtype == np.float32 and fewer["project"].dtype == np.int8
    node = next(node for node in exported.graph.node if node.op_type == "ConvTranspose")
    assert convolutions.doubles(node, weights)
    next(part for part in node.attribute if part.name == "strides").ints[0] = 1
    assert not convolutions.doubles(node, weights)


def test_activations_that_are_no_numbers_cannot_be_quantized():
    exported, weights = graph.export(Generator(28, 1, 0, 4, 4))
    weights["first_bias"][:] = np.inf
    with pytest.raises(InputError, match="no finite numbers"):
        quantize.quantize(exported, weights, calibration.feeds(exported, weights))


def test_the_discriminator_judges_each_set_by_itself_and_sees_how_much_it_varies():
    torch.manual_seed(0)
    discriminator, labels = Discriminator(28, 1, 2, 8), torch.tensor([0, 1, 0, 1])
    pictures = torch.randn(2, 4, 1, 28, 28)
    both = discriminator(pictures, labels)
    torch.testing.assert_close(both[1:], discriminator(pictures[1:], labels))
    other = discriminator(pictures, 1 - labels)
    assert (both != other).all()  # judged as one of its label
    alike = pictures[:1, :1].expand(1, 4, -1, -1, -1)
    varied = torch.cat([alike[:, :1], pictures[1:, 1:]], dim=1)
    assert discriminator(alike, labels)[0, 0] != discriminator(varied, labels)[0, 0]  # the same picture, other company


def test_shifts_move_whole_pictures_by_the_pixels_named_and_each_as_often():
    torch.manual_seed(0)
    picture = torch.zeros(1, 2, 9, 9)
    picture[:, :, 4, 4] = torch.tensor([1.0, 2.0])
    moved = shifted(picture.expand(2000, -1, -1, -1), 2)
    at = moved[:, 0].flatten(1).argmax(dim=1)
    assert (moved[:, 1].flatten(1).argmax(dim=1) == at).all() and (moved.sum(dim=(1, 2, 3)) == 3).all()
    places, counts = torch.stack([at // 9, at % 9]).unique(dim=1, return_counts=True)
    assert places.shape[1] == 25 and places.min() == 2 and places.max() == 6
    assert counts.min() > 2000 / 25 / 2
    assert shifted(picture, 0) is picture
    edge = torch.ones(50, 1, 9, 9)
    assert (shifted(edge, 2) == 1).all()  # the edge goes on
