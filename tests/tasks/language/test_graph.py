"""The ONNX graph against the torch network, for batch sizes and lengths of all kinds, and the way back."""

import numpy as np
import pytest
import torch

from llmkit.runtime.session import Session
from llmkit.store.model_folder import declare_weights
from llmkit.tasks.language import graph
from llmkit.tasks.language.network import LanguageModel


def run(network, tokens, state):
    exported, weights = graph.export(network)
    session = Session(declare_weights(exported, weights), weights, threads=1)
    names = [name for name in session.inputs if name != "tokens"]
    h, c = (part.numpy() for part in state)
    feeds = {name: (h if name[0] == "h" else c)[int(name[1:])][None] for name in names}
    return session.run(None, {"tokens": tokens.numpy(), **feeds})


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize(("length", "batch"), [(1, 1), (1, 4), (37, 1), (5, 3)])
def test_onnx_runtime_gives_the_outputs_of_torch(layers, tie, length, batch):
    torch.manual_seed(length)
    network = LanguageModel(13, 6, 10, layers, tie_weights=tie).eval()
    tokens = torch.randint(0, 13, (length, batch))
    state = torch.randn(layers, batch, 10), torch.randn(layers, batch, 10)
    with torch.no_grad():
        logits, (h, c) = network(tokens, state)
    got, *ends = run(network, tokens, state)
    np.testing.assert_allclose(got, logits.numpy(), atol=2e-6)
    for k in range(layers):
        np.testing.assert_allclose(ends[2 * k][0], h[k].numpy(), atol=2e-6)
        np.testing.assert_allclose(ends[2 * k + 1][0], c[k].numpy(), atol=2e-6)


@pytest.mark.parametrize("tie", [False, True])
def test_weights_come_back_bit_for_bit(tie):
    torch.manual_seed(0)
    network, other = (LanguageModel(13, 6, 10, 2, tie_weights=tie) for _ in range(2))
    graph.from_arrays(other, graph.to_arrays(network))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_the_graph_holds_no_weights():
    network = LanguageModel(90, 64, 256, 1)
    exported, weights = graph.export(network)
    assert len(exported.SerializeToString()) < 1500
    assert sum(array.nbytes for array in weights.values()) > 1_000_000
