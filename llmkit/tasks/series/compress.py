"""What a forecaster offers to the methods of compression."""

import functools

import numpy as np
import torch
from msgspec import structs
from torch import Tensor

from llmkit.console.callbacks import Progress
from llmkit.errors import InputError
from llmkit.predicting import ensemble_graph as graph
from llmkit.predicting.compress import as_learned, as_trained
from llmkit.predicting.ensemble_network import EnsembleNetwork
from llmkit.predicting.learner import ExampleLearner
from llmkit.store import new_files
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.series import forecasting, prepare, use
from llmkit.tasks.series.evaluate import validation
from llmkit.tasks.series.objective import Quantiles
from llmkit.tasks.series.settings import Config
from llmkit.tasks.series.train import build
from llmkit.training import from_weights

__all__ = ["as_learned", "as_trained", "check_fits", "half", "load", "refit", "taught", "with_less_dropout"]
Arrays = dict[str, np.ndarray]


def with_less_dropout(settings: Config, kept: float) -> Config:
    """The settings of a network of which a share of the weights is `kept`: dropout times its square root."""
    return structs.replace(settings, model=structs.replace(settings.model, dropout=settings.model.dropout * kept**0.5))


def half(settings: Config) -> Config:
    """The settings with half of the hidden units: a student for whoever names none."""
    return structs.replace(
        settings, model=structs.replace(settings.model, hidden_size=-(-settings.model.hidden_size // 2))
    )


def load(learner: ExampleLearner[EnsembleNetwork], weights: Arrays) -> None:
    """Put weights in the graph's layout into a learner's network of the same sizes."""
    graph.from_arrays(learner.network, weights)
    learner.load_weights(learner.network.state_dict())


def check_fits(folder: ModelFolder, prepared: Files) -> None:
    """Raise InputError where a model forecasts other steps than the data was prepared for."""
    about, known = prepared.read_as(prepare.ABOUT, prepare.About), forecasting.read(folder)
    if (about.season, about.horizon) != (known.season, known.horizon):
        raise InputError(
            f"{folder.path} forecasts {known.horizon} steps with a season of {known.season}, and {prepared.path} was "
            f"prepared for {about.horizon} with {about.season}"
        )


def taught(
    learner: ExampleLearner[EnsembleNetwork],
    teachers: list[tuple[Config, Arrays]],
    temperature: float,
    mix: float,
    progress: Progress,
) -> ExampleLearner[EnsembleNetwork]:
    """The learner with teachers, which forecast each batch as it comes: all forecasts at once would be gigabytes."""
    objective, mine = learner.objective, learner.network
    assert isinstance(objective, Quantiles)
    networks = []
    for settings, weights in teachers:
        linear, context = weights.get("linear"), objective.about.context
        if linear is not None and len(linear) != mine.width:
            context += len(linear) - mine.width
            raise InputError(f"a teacher sees {context} steps of the past, and its student {objective.about.context}")
        sizes = functools.partial(build, settings.model, context, objective.about.horizon)
        networks.append(from_weights.network(sizes, graph.from_arrays, weights).to(learner.hardware.device).eval())

    @torch.no_grad()
    def together(examples: np.ndarray) -> Tensor:
        given = learner.examples.inputs(examples)
        return objective.together([network(*given).float() for network in networks], temperature)

    objective.teacher, learner.mix = together, mix
    return learner


def refit(folder: ModelFolder, prepared: Files) -> None:
    """Fit the stretches of a written model's quantiles anew."""
    model, examples = use.load(folder), validation(folder, prepared)
    before = examples.examples.windows(examples.origins)
    about = model.about.fitted(model.outputs(before), before, examples.truth().values, examples.origins)
    new_files.write_bytes(folder.path / forecasting.FILE, about.to_bytes())
