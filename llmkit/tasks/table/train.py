"""What the training loop drives for a table: the prepared rows, encoded, in the shared learner of examples."""

from collections.abc import Sequence

import numpy as np
import torch
from msgspec import structs
from torch import Tensor

from llmkit.console.callbacks import Warn
from llmkit.data import encoding, prepared_folder
from llmkit.errors import ConfigError, InputError
from llmkit.predicting import ensemble_graph as graph, labels
from llmkit.predicting.ensemble_network import EnsembleNetwork
from llmkit.predicting.learner import ExampleLearner, Examples, Shipping
from llmkit.predicting.number_objective import Numbers, Target
from llmkit.predicting.numbers import learn_scale
from llmkit.predicting.objectives import Labels
from llmkit.predicting.private_learner import PrivateLearner
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFile, ModelFolder, Role
from llmkit.tasks.table import baseline, prepare, target, use
from llmkit.tasks.table.settings import Config, Model
from llmkit.training import from_weights
from llmkit.training.devices import Hardware


def build(model: Model, width: int, columns: int, table_size: int, output_count: int) -> EnsembleNetwork:
    """The network that the settings describe, for rows of these sizes (see `EnsembleNetwork`)."""
    return EnsembleNetwork(
        width,
        columns,
        table_size,
        output_count,
        hidden_size=model.hidden_size,
        layers=model.layers,
        members=model.members,
        embedding_size=model.embedding_size,
        dropout=model.dropout,
        input_dropout=model.input_dropout,
    )


def learner(prepared: Files, settings: Config, hardware: Hardware, warn: Warn) -> ExampleLearner[EnsembleNetwork]:
    """The learner of a prepared folder, its weights initialised from the seed."""
    torch.manual_seed(settings.seed)
    learnt = encoding.load(prepared)
    numbers, categories = (torch.from_numpy(part).to(hardware.device) for part in learnt.encode(prepare.read(prepared)))
    train, val = (prepared_folder.examples_of(prepared, name)[0] for name in ("train", "val"))

    def inputs(examples: np.ndarray) -> Sequence[Tensor]:
        which = torch.from_numpy(examples).to(hardware.device)
        return numbers[which], categories[which]

    objective, files = _objective(prepared, settings, train, hardware.device)

    def start_from(network: EnsembleNetwork, folder: ModelFolder) -> None:
        _check_columns(folder, learnt, objective)
        with from_weights.started_from(folder):
            graph.from_arrays(network, folder.weights())

    private = settings.train.private
    model = structs.replace(settings.model, dropout=0.0, input_dropout=0.0) if private else settings.model
    made = (PrivateLearner if private else ExampleLearner)(
        build(model, learnt.width, len(learnt.categories), learnt.table_size, objective.output_count),
        Examples(inputs, train, val),
        objective,
        Shipping(graph.export, files, start_from),
        settings.train,
        settings.seed,
        hardware,
    )
    if private and isinstance(made, PrivateLearner):
        made.keep_private(private)
    return made


def _objective(
    prepared: Files, settings: Config, train: np.ndarray, device: torch.device
) -> tuple[Labels | Numbers, dict[str, ModelFile]]:
    """What is learnt of the prepared rows, and the files that go into the model folder."""
    files = {encoding.FILE: ModelFile(prepared.read_bytes(encoding.FILE))}
    meta = prepared_folder.read_meta(prepared)
    if not target.predicts_number(prepared):
        return Labels(prepared.array("labels.npy"), meta["labels"], train, settings.train, device), files
    if settings.train.private:
        raise ConfigError(
            f"train.private is for labels, and '{settings.prepare.label}' is a number: its scale, and the linear model "
            "that it is compared with, are learnt without noise; leave it out"
        )
    for key in ("class_weights", "label_smoothing"):
        if getattr(settings.train, key) not in ("none", 0.0):
            raise ConfigError(f"train.{key} is for labels, and '{settings.prepare.label}' is a number; leave it out")
    numbers = prepared.array("targets.npy")
    scale = learn_scale(numbers[train], meta["target"] == "log")
    weights = prepared.array("weights.npy") if settings.prepare.weight else None
    wanted = Target(settings.prepare.label, numbers, scale, settings.train.loss, settings.train.quantile, weights)
    files[baseline.FILE] = ModelFile(prepared.read_bytes(baseline.FILE), Role.EVALUATE)
    return Numbers(wanted, device), files


def _check_columns(folder: ModelFolder, learnt: encoding.Encoding, objective: Labels | Numbers) -> None:
    """Refuse a model whose weights stand for other columns, categories or labels, or for a number in their place."""
    other = encoding.load(folder)
    names = objective.names if isinstance(objective, Labels) else []
    for what, mine, theirs in (
        ("labels", names, [] if use.is_of_numbers(folder) else labels.read(folder).labels),
        ("columns of numbers", _numbers(learnt), _numbers(other)),
        ("columns of categories, or values in them,", learnt.categories, other.categories),
    ):
        if mine != theirs:
            raise InputError(
                f"train.start_from: {folder.path} has other {what} than the prepared data; prepare with the same "
                "columns, or train from the beginning"
            )


def _numbers(learnt: encoding.Encoding) -> list[tuple[str, int, bool]]:
    return [(column.name, column.width, column.missing) for column in learnt.numbers]
