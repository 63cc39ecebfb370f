"""Networks of weights that somebody else made: other sizes than their config's are refused, before memory is taken."""

import numpy as np
import pytest
import torch
from torch import nn

from llmkit.errors import InputError
from llmkit.training import from_weights

WEIGHTS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.zeros(2, np.float32)}


def load(network: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})


def test_a_network_gets_its_weights() -> None:
    made = from_weights.network(lambda: nn.Linear(3, 2), load, WEIGHTS)
    assert made.weight.tolist() == [[0, 1, 2], [3, 4, 5]] and made.weight.device.type == "cpu"


@pytest.mark.parametrize("sizes", [(2, 2), (4, 2)])
def test_other_sizes_are_named(sizes: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"the sizes that its config says \(size mismatch for weight: .*\); make"):
        from_weights.network(lambda: nn.Linear(*sizes), load, WEIGHTS)


def test_a_config_that_asks_for_far_more_than_there_is_builds_nothing() -> None:
    with pytest.raises(InputError, match="asks for 1,000,001,000,000 weights, and it has 8; make it again"):
        from_weights.network(lambda: nn.Linear(10**6, 10**6), load, WEIGHTS)
