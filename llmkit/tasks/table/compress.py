"""What a table's classifier offers to the methods of compression."""

import functools

import numpy as np

from llmkit.console.callbacks import Progress
from llmkit.predicting import compress as predictors, ensemble_graph as graph
from llmkit.predicting.compress import as_learned, as_trained, check_fits, half, with_less_dropout
from llmkit.predicting.ensemble_network import EnsembleNetwork
from llmkit.predicting.learner import ExampleLearner
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.table import use
from llmkit.tasks.table.evaluate import of_split
from llmkit.tasks.table.settings import Config
from llmkit.tasks.table.train import build

__all__ = ["as_learned", "as_trained", "check_fits", "half", "load", "refit", "taught", "with_less_dropout"]
from llmkit.training import from_weights

Arrays = dict[str, np.ndarray]


def load(learner: ExampleLearner[EnsembleNetwork], weights: Arrays) -> None:
    """Put weights in the graph's layout into a learner's network of the same sizes."""
    graph.from_arrays(_network(learner), weights)
    learner.load_weights(learner.network.state_dict())


def taught(
    learner: ExampleLearner[EnsembleNetwork],
    teachers: list[tuple[Config, Arrays]],
    temperature: float,
    mix: float,
    progress: Progress,
) -> ExampleLearner[EnsembleNetwork]:
    """The learner with models of the same columns and labels as teachers."""
    mine, networks = _network(learner), []
    for settings, weights in teachers:
        sizes = (settings.model, mine.width, mine.columns, mine.table_size, mine.output_count)
        networks.append(from_weights.network(functools.partial(build, *sizes), graph.from_arrays, weights))
    return predictors.taught(learner, list(networks), temperature, mix, progress)


def refit(folder: ModelFolder, prepared: Files) -> None:
    """Fit the temperature of a written model anew."""
    predictors.refit(use.load(folder), of_split(folder, prepared, "val"))


def _network(learner: ExampleLearner[EnsembleNetwork]) -> EnsembleNetwork:
    assert isinstance(learner.network, EnsembleNetwork)
    return learner.network
