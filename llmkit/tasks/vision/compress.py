"""What a classifier of pictures offers to the methods of compression."""

import functools

import numpy as np
from msgspec import structs

from llmkit.console.callbacks import Progress
from llmkit.predicting import compress as predictors
from llmkit.predicting.compress import as_learned, as_trained, check_fits
from llmkit.predicting.learner import ExampleLearner
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.vision import graph, use
from llmkit.tasks.vision.evaluate import of_split
from llmkit.tasks.vision.network import VisionNetwork
from llmkit.tasks.vision.pixels import Pixels
from llmkit.tasks.vision.settings import Config
from llmkit.tasks.vision.train import STATISTICS_OF, PictureLearner, build
from llmkit.training import from_weights

__all__ = ["as_learned", "as_trained", "check_fits", "half", "load", "refit", "taught", "with_less_dropout"]

Arrays = dict[str, np.ndarray]


def with_less_dropout(settings: Config, kept: float) -> Config:
    """The settings of a network of which a share of the weights is `kept`: dropout times its square root.

    Han et al., "Learning both weights and connections for efficient neural networks" (arXiv 1506.02626, section 3.2).
    """
    model = structs.replace(settings.model, dropout=settings.model.dropout * kept**0.5)
    return structs.replace(settings, model=model)


def half(settings: Config) -> Config:
    """The settings with about half of the channels: a student for whoever names none."""
    width = 8 * -(-settings.model.width // 16)
    return structs.replace(settings, model=structs.replace(settings.model, width=width))


def load(learner: PictureLearner, weights: Arrays) -> None:
    """Put weights in the graph's layout into a learner's network of the same sizes."""
    graph.from_arrays(learner.network, weights)
    graph.normalized_by(learner.network, *learner.examples.inputs(learner.examples.train[:STATISTICS_OF]))
    learner.load_weights(learner.network.state_dict())


def taught(
    learner: PictureLearner,
    teachers: list[tuple[Config, Arrays]],
    temperature: float,
    mix: float,
    progress: Progress,
) -> ExampleLearner[VisionNetwork]:
    """The learner with models of the same pictures and labels as teachers."""
    mine, networks = learner.network, []
    of = Pixels(mine.edge, len(mine.mean), mine.mean.tolist(), mine.deviation.tolist())
    for settings, weights in teachers:
        made = functools.partial(build, settings.model, of, mine.output_count)
        networks.append(from_weights.network(made, graph.from_arrays, weights))
    return predictors.taught(learner, list(networks), temperature, mix, progress)


def refit(folder: ModelFolder, prepared: Files) -> None:
    """Fit the temperature of a written model anew."""
    predictors.refit(use.load(folder), of_split(folder, prepared, "val"))
