"""The graph of every method against torch, and how much dropout a network gets that is trained on."""

import numpy as np
import pytest
import torch
from msgspec import structs

from llmkit.compression import fine_tuning, methods
from llmkit.config.variants import Chain, Prune
from llmkit.runtime.session import Session
from llmkit.store.model_folder import declare_weights
from llmkit.tasks.language import compress, graph
from llmkit.tasks.language.network import LanguageModel
from llmkit.tasks.language.settings import Distil, Model
from llmkit.tasks.language.train import build


@pytest.mark.parametrize(
    "variant",
    [
        Prune(sparsity=0.7, steps=2),
        Prune(how="structured", sparsity=0.5, steps=2),
        Distil(model=Model(hidden_size=7, embedding_size=5, layers=2), steps=2),
        Chain(steps=[Prune(how="structured", sparsity=0.3, steps=1), Prune(sparsity=0.5, steps=1)]),
    ],
    ids=lambda variant: variant.__struct_config__.tag,
)
def test_the_graph_of_a_variant_gives_the_outputs_of_torch(job, variant):
    """For a token, for long windows and for many streams, though the graph is the same one."""
    made = methods.apply(variant, job.original, job)
    network: LanguageModel = build(made.settings.model, 30).eval()
    graph.from_arrays(network, made.weights)
    session = Session(declare_weights(made.graph, made.weights), made.weights, threads=1)
    for length, batch in ((1, 1), (1, 5), (70, 1), (9, 4)):
        tokens = torch.randint(0, 30, (length, batch))
        state = torch.randn(2, network.layers, batch, network.hidden_size)
        with torch.no_grad():
            expected, _ = network(tokens, (state[0], state[1]))
        feeds = {f"{part}{k}": state[i, k][None].numpy() for i, part in enumerate("hc") for k in range(network.layers)}
        found = session.run(None, {"tokens": tokens.numpy(), **feeds})[0]
        np.testing.assert_allclose(found, expected.numpy(), atol=5e-6)


def test_a_short_fine_tuning_keeps_the_dropouts_of_the_original(job):
    result = {"dropout": 0.25, "input_dropout": 0.05, "recurrent_dropout": 0.15, "val_loss": 1.0}
    settings = compress.as_trained(job.folder.settings, result)
    learner = fine_tuning.learner(job, settings, None)
    found = learner.network.dropout, learner.network.input_dropout, learner.network.recurrent_dropout
    assert found == (0.25, 0.05, 0.15)
    assert compress.as_learned(job.folder.settings, learner).model.dropout == 0.25


def test_a_network_of_fewer_weights_gets_less_dropout(job):
    model = structs.replace(job.original.settings.model, dropout=0.4, input_dropout=0.2, recurrent_dropout=None)
    settings = structs.replace(job.original.settings, model=model)
    found = compress.with_less_dropout(settings, 0.25).model
    assert (found.dropout, found.input_dropout, found.recurrent_dropout) == pytest.approx((0.2, 0.1, 0.0))
