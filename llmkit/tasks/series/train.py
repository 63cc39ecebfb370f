"""What the training loop drives for series: windows of the past, in the shared learner of examples."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from llmkit.console.callbacks import Warn
from llmkit.data import series_times
from llmkit.errors import ConfigError, InputError
from llmkit.predicting import ensemble_graph as graph
from llmkit.predicting.ensemble_network import EnsembleNetwork
from llmkit.predicting.forecast_metrics import LEVELS
from llmkit.predicting.learner import ExampleLearner, Examples as Split, Shipping
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFile, ModelFolder
from llmkit.tasks.series import anomalies, forecasting, prepare, windows
from llmkit.tasks.series.examples import Examples, context_of, validated
from llmkit.tasks.series.forecasting import Forecasting
from llmkit.tasks.series.objective import Quantiles
from llmkit.tasks.series.settings import Config, Model
from llmkit.training import from_weights
from llmkit.training.devices import Hardware


def build(model: Model, context: int, horizon: int) -> EnsembleNetwork:
    """The network that the settings describe: windows of `context` steps in, quantiles of `horizon` steps out."""
    return EnsembleNetwork(
        context + windows.CALENDAR,
        0,
        0,
        horizon * len(LEVELS),
        hidden_size=model.hidden_size,
        layers=model.layers,
        members=model.members,
        embedding_size=1,
        dropout=model.dropout,
    )


def learner(prepared: Files, settings: Config, hardware: Hardware, warn: Warn) -> ExampleLearner[EnsembleNetwork]:
    """The learner of a prepared folder, its weights initialised from the seed."""
    torch.manual_seed(settings.seed)
    values, about = prepare.read(prepared)
    context = context_of(settings.model, about.season, about.horizon)
    if context < about.season:
        raise ConfigError(f"model.context is {context}, shorter than a season of {about.season} steps; raise it")
    split = settings.prepare.split
    ends_of_training = [prepare.val_from(len(each), about.horizon, split) for each in values]
    examples = Examples(values, about, context, ends_of_training)
    none = torch.zeros(0, dtype=torch.int64, device=hardware.device)

    def inputs(origins: np.ndarray) -> Sequence[Tensor]:
        features = torch.from_numpy(examples.windows(origins).features).to(hardware.device)
        return features, none.expand(len(origins), 0)

    ends = windows_at_the_end(values, about, context)
    longest = max(
        int(anomalies.still(each[: prepare.test_from(len(each), about.horizon, split)]).max()) for each in values
    )
    known = forecast_settings(about, context, ends, longest)

    def start_from(network: EnsembleNetwork, folder: ModelFolder) -> None:
        theirs = forecasting.read(folder)
        for what in ("context", "horizon", "season"):
            if getattr(theirs, what) != getattr(known, what):
                raise InputError(
                    f"train.start_from: {folder.path} has a {what} of {getattr(theirs, what)}, and here it is "
                    f"{getattr(known, what)}; name the same, or train from the beginning"
                )
        with from_weights.started_from(folder):
            graph.from_arrays(network, folder.weights())

    return ExampleLearner(
        build(settings.model, context, about.horizon),
        Split(inputs, examples.of_split("train", split), validated(examples.of_split("val", split))),
        Quantiles(examples, known, hardware.device),
        Shipping(graph.export, {forecasting.ENDS: ModelFile(_bytes(ends.past))}, start_from),
        settings.train,
        settings.seed,
        hardware,
    )


def windows_at_the_end(values: list[np.ndarray], about: prepare.About, context: int) -> forecasting.Ends:
    """The last window of each series, for `MOST_ENDS` of them at most."""
    kept = values[: forecasting.MOST_ENDS]
    past = [windows.last_window(each, context, about.season) for each in kept]
    moments = np.array(
        [
            np.nan if begin is None else series_times.following(begin, about.step, len(each) + 1)[-1]
            for begin, each in zip(about.begins, kept, strict=False)
        ]
    )
    return forecasting.Ends(about.names[: len(kept)], np.array(past, np.float32), moments)


def forecast_settings(about: prepare.About, context: int, ends: forecasting.Ends, still: int) -> Forecasting:
    """What the model folder says of forecasts, before anything is fitted."""
    moments = [None if np.isnan(moment) else float(moment) for moment in ends.moments]
    stretch = [1.0] * len(LEVELS)
    sizes = (context, about.season, about.horizon, about.step)
    return Forecasting(*sizes, about.minimum, stretch, ends.names, moments, still=still)


def _bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
