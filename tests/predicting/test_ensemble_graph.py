"""The ONNX graph against the torch network, for every mixture of columns and layers."""

import numpy as np
import pytest
import torch

from llmkit.predicting import ensemble_graph as graph
from llmkit.predicting.ensemble_network import EnsembleNetwork
from llmkit.runtime.session import Session
from llmkit.store import model_folder


@pytest.mark.parametrize(("width", "columns"), [(5, 2), (5, 0), (0, 2)])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_the_graph_computes_what_the_network_does(width, columns, layers):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "members": 4, "embedding_size": 6}
    network = EnsembleNetwork(width, columns, 9, 3, layers=layers, **sizes).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    numbers, categories = torch.randn(7, width), torch.randint(0, 9, (7, columns))
    exported, weights = graph.export(network)
    session = Session(model_folder.declare_weights(exported, weights), weights, 1)
    feeds = {"numbers": numbers.numpy(), "categories": categories.numpy()}
    [logits] = session.run(["logits"], {name: feeds[name] for name in session.inputs})
    expected = network(numbers, categories).detach().numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    other = EnsembleNetwork(width, columns, 9, 3, layers=layers, **sizes).eval()
    graph.from_arrays(other, weights)
    torch.testing.assert_close(other(numbers, categories), network(numbers, categories))


def test_members_differ_while_training_and_are_averaged_afterwards():
    torch.manual_seed(0)
    network = EnsembleNetwork(4, 1, 5, 2, hidden_size=8, layers=1, members=3, embedding_size=2)
    numbers, categories = torch.randn(6, 4), torch.randint(0, 5, (6, 1))
    members = network.train()(numbers, categories)
    assert members.shape == (6, 3, 2)
    assert not torch.allclose(members[:, 0], members[:, 1])
    torch.testing.assert_close(network.eval()(numbers, categories), members.mean(dim=1))
