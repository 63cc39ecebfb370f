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


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("features", [20, 0])
def test_the_graph_computes_what_the_network_does(bidirectional, features):
    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_size": 6}
    network = TextNetwork(12, features, 3, **sizes, bidirectional=bidirectional, ngram_share=0.4).eval()
    torch.nn.init.normal_(network.ngram_table[1:])
    tokens, counts, ngrams, values = arrays(np.random.default_rng(0))
    given = [torch.from_numpy(array) for array in (tokens, counts, ngrams, values)]
    expected = network(*given).detach().numpy()
    exported, weights = graph.export(network)
    np.testing.assert_allclose(run(exported, weights, tokens, counts, ngrams, values), expected, atol=1e-5)
    small = run(*quantize(exported, weights), tokens, counts, ngrams, values)
    np.testing.assert_allclose(small, expected, atol=0.1)
    other = TextNetwork(12, features, 3, **sizes, bidirectional=bidirectional, ngram_share=0.4).eval()
    graph.from_arrays(other, weights)
    other.ngram_table.copy_(network.ngram_table)
    torch.testing.assert_close(other(*given), network(*given))


def test_filling_changes_nothing():
    torch.manual_seed(0)
    network = TextNetwork(12, 0, 2, embedding_size=8, hidden_size=6, bidirectional=True).eval()
    tokens, counts, ngrams, values = (torch.from_numpy(array) for array in arrays(np.random.default_rng(1)))
    longer = torch.cat([tokens, torch.randint(0, 12, (4, 4))])
    torch.testing.assert_close(network(longer, counts, ngrams, values), network(tokens, counts, ngrams, values))
    alone = network(tokens[:3, 1:2], counts[1:2], ngrams[1:2], values[1:2])
    torch.testing.assert_close(alone, network(tokens, counts, ngrams, values)[1:2])
