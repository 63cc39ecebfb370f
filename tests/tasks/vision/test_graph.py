"""The ONNX graph against the torch network, its normalization folded in, and back."""

import numpy as np
import pytest
import torch

from llmkit.runtime.session import Session
from llmkit.store import model_folder
from llmkit.tasks.vision import graph
from llmkit.tasks.vision.network import VisionNetwork, first_stride


def made(edge=20, colours=1, blocks=1, **more):
    """A network whose normalization is no identity."""
    network = VisionNetwork(edge, [100.0] * colours, [50.0] * colours, 3, width=8, blocks=blocks, **more)
    for _, layer in network.convolutions():
        for tensor in (layer.norm.weight, layer.norm.bias, layer.norm.running_mean):
            torch.nn.init.normal_(tensor, 0.5, 0.3)
        torch.nn.init.uniform_(layer.norm.running_var, 0.5, 2)
    return network.eval()


@pytest.mark.parametrize(("edge", "colours", "blocks"), [(20, 1, 2), (17, 3, 1), (64, 1, 1), (128, 3, 1)])
def test_the_graph_computes_what_the_network_does(edge, colours, blocks):
    torch.manual_seed(0)
    network = made(edge, colours, blocks)
    pictures = torch.randint(0, 256, (3, edge, edge, colours), dtype=torch.uint8)
    exported, weights = graph.export(network)
    session = Session(model_folder.declare_weights(exported, weights), weights, 1)
    [logits] = session.run(["logits"], {"pictures": pictures.numpy()})
    expected = network(pictures).detach()
    np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-3, atol=1e-4)
    other = made(edge, colours, blocks)
    graph.from_arrays(other, weights)
    torch.testing.assert_close(other(pictures), expected, rtol=1e-3, atol=1e-4)


def test_a_folded_network_learns_on_where_one_that_never_was_folded_would():
    torch.manual_seed(0)
    network, other = made(), made()
    pictures = torch.randint(0, 256, (64, 20, 20, 1), dtype=torch.uint8)
    network.train()
    for _ in range(60):
        network(pictures)  # the running statistics become those of these pictures
    _, weights = graph.export(network.eval())
    graph.from_arrays(other, weights)
    before = other.eval()(pictures)
    graph.normalized_by(other, pictures)
    torch.testing.assert_close(other(pictures), before, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(other.train()(pictures), network.train()(pictures), rtol=2e-2, atol=2e-2)


def test_arrays_of_other_sizes_are_refused():
    _, weights = graph.export(made())
    with pytest.raises(KeyError, match="other layers: body.3"):
        graph.from_arrays(made(), weights | {"body.3.first": weights["stem"]})
    with pytest.raises(RuntimeError, match=r"\(7, 1, 3, 3\) in place of \(8, 1, 3, 3\)"):
        graph.from_arrays(made(), weights | {"stem": weights["stem"][:7]})


def test_large_pictures_are_halved_first_and_blocks_are_none_at_the_start():
    assert [first_stride(edge) for edge in (16, 63, 64, 127, 128)] == [1, 1, 2, 2, 4]
    network = VisionNetwork(20, [0.0], [1.0], 2, width=8, blocks=1).eval()
    x = torch.rand(2, 8, 20, 20)
    block = next(network.residual())
    torch.testing.assert_close(block(x), x)  # of what is above 0
