"""A network with the weights of a model folder, which may be somebody else's: its config may not fit its weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from llmkit.config.schema import to_data
from llmkit.errors import InputError
from llmkit.store.model_folder import ModelFolder

Network = TypeVar("Network", bound=nn.Module)
Arrays = dict[str, np.ndarray]
MISFITS = (RuntimeError, KeyError, ValueError, IndexError, TypeError)
"""What the tasks' `graph.from_arrays` and torch raise for arrays of other names or shapes."""
SPARE = 2  # times as many numbers as there are weights that a network may have (two biases of an LSTM are one there)


def network(build: Callable[[], Network], load: Callable[[Network, Arrays], None], weights: Arrays) -> Network:
    """What `build` makes, with the weights put in by `load`.

    Raises InputError where they are not those of such a network, and before it takes memory for many more.
    """
    with torch.device("meta"):  # shapes alone
        numbers = sum(parameter.numel() for parameter in build().parameters())
    there = sum(array.size for array in weights.values())
    if numbers > SPARE * there:
        raise InputError(f"a model's config asks for {numbers:,} weights, and it has {there:,}; make it again")
    made = build()
    try:
        load(made, weights)
    except MISFITS as error:
        raise InputError(
            f"a model's weights are not of the sizes that its config says ({str(error).splitlines()[-1].strip()}); "
            "make it again"
        ) from error
    return made


@contextmanager
def started_from(folder: ModelFolder, unfit: str = "has other sizes than the section model") -> Iterator[None]:
    """Within it the weights of a folder are put into a network: what does not fit is told as `unfit`, an InputError."""
    try:
        yield
    except MISFITS as error:
        raise InputError(
            f"train.start_from: {folder.path} {unfit}; take its sizes: {to_data(folder.settings.model)}"
        ) from error
