"""Hidden units: importance by hand, those that nobody reads go first and change nothing."""

import numpy as np
import pytest
import torch
from msgspec import structs

from llmkit.compression import fine_tuning
from llmkit.errors import InputError
from llmkit.runtime.session import Session
from llmkit.store.model_folder import declare_weights
from llmkit.tasks.language import graph, units as of_units
from llmkit.tasks.language.settings import Model
from llmkit.tasks.language.train import build

UNREAD = [2, 3, 7]


def outputs(settings: Model, weights: dict[str, np.ndarray], vocab_size: int, tokens: torch.Tensor) -> np.ndarray:
    """Logits of ONNX Runtime for the network of these settings and weights."""
    network = build(settings, vocab_size)
    graph.from_arrays(network, weights)
    exported, arrays = graph.export(network)
    session = Session(declare_weights(exported, arrays), arrays, threads=1)
    names = [name for name in session.inputs if name != "tokens"]
    state = {name: np.zeros((1, tokens.shape[1], settings.hidden_size), np.float32) for name in names}
    return session.run(None, state | {"tokens": tokens.numpy()})[0]


def learner_of(job, **sizes):
    """A learner of a network of random weights, and its settings."""
    model = structs.replace(job.original.settings.model, **sizes)
    settings = structs.replace(job.original.settings, model=model)
    return fine_tuning.learner(job, settings, None), settings


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(
    "sizes",
    [
        {"embedding_size": 6, "tie_weights": False},
        {"embedding_size": 6, "tie_weights": True},  # with a projection
        {"embedding_size": 12, "tie_weights": True},  # without
        {"embedding_size": 9, "tie_weights": True},  # of the size that is left
    ],
)
def test_units_that_nobody_reads_go_first_and_change_no_logits(job, layers, sizes):
    learner, settings = learner_of(job, hidden_size=12, layers=layers, **sizes)
    network = learner.network
    with torch.no_grad():
        for k in range(layers):
            network.weight_hh[k][:, UNREAD] = 0
            if k + 1 < layers:
                network.weight_ih[k + 1][:, UNREAD] = 0
        last = network.projection if network.projection is not None else network.output
        (network.embedding if last is None else last)[:, UNREAD] = 0
    scores = of_units.importance(learner)
    assert all((score[UNREAD] == 0).all() and np.count_nonzero(score) == 9 for score in scores)
    tokens = torch.randint(0, network.vocab_size, (11, 3))
    with torch.no_grad():
        expected, _ = network.eval()(tokens, network.initial_state(3))
    smaller, weights = of_units.without_units(learner, settings, 0.25)
    spared = sizes == {"embedding_size": 9, "tie_weights": True}
    assert smaller.model.hidden_size == (10 if spared else 9)
    found = outputs(smaller.model, weights, network.vocab_size, tokens)
    np.testing.assert_allclose(found, expected.numpy(), atol=3e-6)


def test_importance_is_what_the_loss_changes_when_a_unit_is_scaled(job):
    """The criterion is the squared derivative of the loss by a factor on what a unit gives: against differences."""
    learner, _ = learner_of(job, hidden_size=6, embedding_size=5, tie_weights=False)
    learner.streams.tokens = learner.streams.tokens[:65]  # one stream, one window
    network = learner.network.double()
    tokens = torch.from_numpy(learner.streams.tokens.astype(np.int64))[:, None]
    state = tuple(part.double() for part in network.initial_state(1))

    def loss(unit: int, factor: float) -> float:
        readers = [network.weight_hh[0], network.output]
        kept = [reader.detach().clone() for reader in readers]
        with torch.no_grad():
            for reader in readers:
                reader[:, unit] *= factor
            logits, _ = network.eval()(tokens[:-1], state, torch.float64)
            for reader, before in zip(readers, kept, strict=True):
                reader.copy_(before)
        return torch.nn.functional.cross_entropy(logits[:, 0].double(), tokens[1:, 0]).item()

    expected = [((loss(unit, 1.001) - loss(unit, 0.999)) / 0.002) ** 2 for unit in range(6)]
    learner.network.float()
    [found] = of_units.importance(learner)
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_a_split_that_is_too_small_to_judge_by_is_refused(job):
    learner, settings = learner_of(job)
    learner.streams.tokens = learner.streams.tokens[:64]
    with pytest.raises(InputError, match="the training split has 64 tokens; to judge hidden units by, more than 64"):
        of_units.without_units(learner, settings, 0.5)
