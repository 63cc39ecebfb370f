"""What the training loop drives for a table: the prepared rows, encoded, in the shared learner of classifiers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from llmkit.config.schema import to_data
from llmkit.data import encoding, prepared_folder
from llmkit.errors import InputError
from llmkit.predicting.learner import ClassifierLearner
from llmkit.predicting.use import read_labels
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.table import graph, prepare
from llmkit.tasks.table.network import TableNetwork
from llmkit.tasks.table.settings import Config, Model


def build(model: Model, width: int, columns: int, table_size: int, classes: int) -> TableNetwork:
    """The network that the settings describe, for rows of these sizes (see `TableNetwork`)."""
    return TableNetwork(
        width,
        columns,
        table_size,
        classes,
        model.hidden_size,
        model.layers,
        model.members,
        model.embedding_size,
        model.dropout,
        model.input_dropout,
    )


def learner(
    prepared: Path, settings: Config, device: torch.device, number_type: torch.dtype, warn: Callable[[str], None]
) -> ClassifierLearner:
    """The learner of a prepared folder, its weights initialised from the seed."""
    torch.manual_seed(settings.seed)
    names = prepared_folder.read_meta(prepared)["labels"]
    learnt = encoding.load(prepared / encoding.FILE)
    numbers, categories = (torch.from_numpy(part).to(device) for part in learnt.encode(prepare.read(prepared)))

    def inputs(examples: np.ndarray) -> Sequence[Tensor]:
        which = torch.from_numpy(examples).to(device)
        return numbers[which], categories[which]

    def start_from(network: nn.Module, folder: ModelFolder) -> None:
        _check_columns(folder, learnt, names)
        try:
            graph.from_arrays(network, folder.weights())  # type: ignore[arg-type]
        except RuntimeError as error:
            raise InputError(
                f"train.start_from: {folder.path} has other sizes than the section model; take its sizes: "
                f"{to_data(folder.config.settings.model)}"
            ) from error

    return ClassifierLearner(
        build(settings.model, learnt.width, len(learnt.categories), learnt.table_size, len(names)),
        inputs,
        np.load(prepared / "labels.npy"),
        names,
        prepared_folder.examples_of(prepared, "train")[0],
        prepared_folder.examples_of(prepared, "val")[0],
        settings.train,
        settings.seed,
        device,
        number_type,
        graph.export,  # type: ignore[arg-type]
        {encoding.FILE: prepared / encoding.FILE},
        start_from,
    )


def _check_columns(folder: ModelFolder, learnt: encoding.Encoding, names: list[str]) -> None:
    """Refuse a model whose weights stand for other columns, categories or labels."""
    other = encoding.load(folder.path / encoding.FILE)
    for what, mine, theirs in (
        ("labels", names, read_labels(folder)[0]),
        ("columns of numbers", _numbers(learnt), _numbers(other)),
        ("columns of categories, or values in them,", learnt.categories, other.categories),
    ):
        if mine != theirs:
            raise InputError(
                f"train.start_from: {folder.path} has other {what} than the prepared data; prepare with the same "
                "columns, or train from the beginning"
            )


def _numbers(learnt: encoding.Encoding) -> list[tuple[str, int, bool]]:
    return [(column.name, len(column.maps), column.missing) for column in learnt.numbers]
