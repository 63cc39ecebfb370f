"""What a table's classifier offers to the methods of compression."""

from pathlib import Path
from typing import Any

import numpy as np

from llmkit.console.callbacks import Progress
from llmkit.predicting import compress as classification
from llmkit.predicting.compress import as_learned, as_trained, check_fits, half, with_less_dropout
from llmkit.predicting.learner import ClassifierLearner
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.table import graph, use
from llmkit.tasks.table.evaluate import validation
from llmkit.tasks.table.network import TableNetwork
from llmkit.tasks.table.train import build

__all__ = ["as_learned", "as_trained", "check_fits", "half", "load", "refit", "taught", "with_less_dropout"]

Arrays = dict[str, np.ndarray]


def load(learner: ClassifierLearner, weights: Arrays) -> None:
    """Put weights in the graph's layout into a learner's network of the same sizes."""
    graph.from_arrays(_network(learner), weights)
    learner.load_weights(learner.network.state_dict())


def taught(
    learner: ClassifierLearner,
    teachers: list[tuple[Any, Arrays]],
    temperature: float,
    mix: float,
    progress: Progress = lambda description, done, total: None,
) -> ClassifierLearner:
    """The learner with models of the same columns and labels as teachers."""
    mine, networks = _network(learner), []
    for settings, weights in teachers:
        networks.append(build(settings.model, mine.width, mine.columns, mine.table_size, mine.classes))
        graph.from_arrays(networks[-1], weights)
    return classification.taught(learner, networks, temperature, mix, progress)  # type: ignore[arg-type]


def refit(folder: ModelFolder, prepared: Path) -> None:
    """Fit the temperature of a written model anew."""
    classification.refit(use.load(folder), *validation(prepared))


def _network(learner: ClassifierLearner) -> TableNetwork:
    assert isinstance(learner.network, TableNetwork)
    return learner.network
