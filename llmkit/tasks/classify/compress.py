"""What a text classifier offers to the methods of compression. What a teacher teaches is its LSTM.

The linear part of a student is fitted like any other's, and its logits are no lesson: it knows its training texts.
"""

import functools

import numpy as np

from llmkit.console.callbacks import Progress
from llmkit.errors import InputError
from llmkit.predicting import compress as predictors
from llmkit.predicting.compress import as_learned, as_trained, check_fits, half, with_less_dropout
from llmkit.predicting.learner import ExampleLearner
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.classify import graph, use
from llmkit.tasks.classify.evaluate import of_split
from llmkit.tasks.classify.network import TextNetwork
from llmkit.tasks.classify.settings import Config
from llmkit.tasks.classify.train import build

__all__ = ["as_learned", "as_trained", "check_fits", "half", "load", "refit", "taught", "with_less_dropout"]
from llmkit.training import from_weights

Arrays = dict[str, np.ndarray]


def load(learner: ExampleLearner[TextNetwork], weights: Arrays) -> None:
    """Put weights in the graph's layout into a learner's network of the same sizes, the linear part too."""
    network = _network(learner)
    _check_lstm(weights)
    graph.from_arrays(network, weights)
    if network.with_linear:
        graph.linear_from_arrays(network, weights)
    learner.load_weights(network.state_dict())


def taught(
    learner: ExampleLearner[TextNetwork],
    teachers: list[tuple[Config, Arrays]],
    temperature: float,
    mix: float,
    progress: Progress,
) -> ExampleLearner[TextNetwork]:
    """The learner with the LSTMs of models of the same vocabulary and labels as teachers."""
    mine, networks = _network(learner), []
    for settings, weights in teachers:
        _check_lstm(weights)
        sizes = (settings.model, mine.vocab_size, 0, mine.classes)  # without the linear part
        networks.append(from_weights.network(functools.partial(build, *sizes), graph.from_arrays, weights))
    return predictors.taught(learner, list(networks), temperature, mix, progress)


def refit(folder: ModelFolder, prepared: Files) -> None:
    """Fit the temperature of a written model anew."""
    predictors.refit(use.load(folder), of_split(folder, prepared, "val"))


def _check_lstm(weights: Arrays) -> None:
    """Raise InputError where there is nothing to prune, distil or fuse."""
    if "embedding" not in weights:
        raise InputError(
            "the model is its linear part alone, for the LSTM added nothing: there is nothing in it to prune, distil "
            "or fuse; take quantize, or train with model.ngram_share below 1"
        )


def _network(learner: ExampleLearner[TextNetwork]) -> TextNetwork:
    assert isinstance(learner.network, TextNetwork)
    return learner.network
