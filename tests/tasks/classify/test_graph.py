"""The ONNX graph against the torch network, in both directions, with and without n-grams."""

import numpy as np
import pytest
import torch

from llmkit.quantization.quantize import quantize
from llmkit.runtime.session import Session
from llmkit.store import model_folder
from llmkit.tasks.classify import graph
from llmkit.tasks.classify.network import TextNetwork


def arrays(generator):
    counts = np.array([7, 3, 1, 5])
    tokens = np.where(np.arange(7)[:, None] < counts, generator.integers(1, 12, (7, 4)), 0)
    return tokens, counts, generator.integers(0, 21, (4, 6)), generator.random((4, 6)).astype(np.float32)


def run(exported, weights, tokens, counts, ngrams, values):
    session = Session(model_folder.declare_weights(exported, weights), weights, 1)
    mask = (np.arange(len(tokens))[:, None] < counts).astype(np.float32)[:, :, None]
    feeds = {"tokens": tokens, "counts": counts.astype(np.int32), "mask": mask, "ngrams": ngrams, "values": values}
    return session.run(["logits"], {name: feeds[name] for name in session.inputs})[0]


def linear(network, ngrams, values):
    """What the linear part says (B, C), by a plain sum."""
    table = network.ngram_table.numpy()
    rows = ngrams.clip(max=len(table) - 1)
    return torch.from_numpy((table[rows] * values[:, :, None]).sum(axis=1)) + network.ngram_bias


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("features", [20, 0])
def test_the_graph_computes_what_the_network_does(bidirectional, features):
    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_size": 6}
    network = TextNetwork(12, features, 3, **sizes, bidirectional=bidirectional, with_linear=True).eval()
    torch.nn.init.normal_(network.ngram_table[1:])
    network.mixture.copy_(torch.tensor([[0.4, 0.5, 0.6], [0.6, 0.5, 0.4]]))
    tokens, counts, ngrams, values = arrays(np.random.default_rng(0))
    given = [torch.from_numpy(tokens), torch.from_numpy(counts), linear(network, ngrams, values)]
    expected = network(*given).detach().numpy()
    exported, weights = graph.export(network)
    np.testing.assert_allclose(run(exported, weights, tokens, counts, ngrams, values), expected, atol=1e-5)
    small = run(*quantize(exported, weights), tokens, counts, ngrams, values)
    np.testing.assert_allclose(small, expected, atol=0.1)
    other = TextNetwork(12, features, 3, **sizes, bidirectional=bidirectional, with_linear=True).eval()
    graph.from_arrays(other, weights)
    if features:
        graph.linear_from_arrays(other, weights)
        torch.testing.assert_close(other.ngram_table, network.ngram_table)
    torch.testing.assert_close(other(*given), network(*given))


def test_an_lstm_that_counts_nothing_is_not_in_the_graph():
    network = TextNetwork(12, 20, 3, embedding_size=8, hidden_size=6, bidirectional=True).eval()
    torch.nn.init.normal_(network.ngram_table[1:])
    network.mixture[1] = 0
    _, _, ngrams, values = arrays(np.random.default_rng(0))
    exported, weights = graph.export(network)
    assert sorted(weights) == ["linear_share", "ngram_bias", "ngram_table"]
    session = Session(model_folder.declare_weights(exported, weights), weights, 1)
    assert set(session.inputs) == {"ngrams", "values"}
    [found] = session.run(["logits"], {"ngrams": ngrams, "values": values})
    np.testing.assert_allclose(found, linear(network, ngrams, values), atol=1e-5)


def test_filling_changes_nothing():
    torch.manual_seed(0)
    network = TextNetwork(12, 0, 2, embedding_size=8, hidden_size=6, bidirectional=True).eval()
    tokens, counts = (torch.from_numpy(array) for array in arrays(np.random.default_rng(1))[:2])
    nothing = torch.zeros(4, 2)
    longer = torch.cat([tokens, torch.randint(0, 12, (4, 4))])
    torch.testing.assert_close(network(longer, counts, nothing), network(tokens, counts, nothing))
    alone = network(tokens[:3, 1:2], counts[1:2], nothing[1:2])
    torch.testing.assert_close(alone, network(tokens, counts, nothing)[1:2])
