"""A running average of a network's weights (Polyak averaging), and the network with it for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Averages:
    """The averages `tensors` of all weights and buffers of a network, by their names.

    The decay of a step grows with the steps up to `decay`, so that the start is forgotten; 0 keeps the last weights.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.network, self.decay = network, decay
        self.updates = 0
        self.tensors: dict[str, Tensor] = {}
        self.restart()

    def restart(self) -> None:
        """Begin anew from the network's present weights; the number of updates stays."""
        self.tensors = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def update(self) -> None:
        """Move towards the network's weights; called after each step."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 9.0))
        present = self.network.state_dict()
        moving = [name for name, tensor in self.tensors.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self.tensors[name] for name in moving], [present[name] for name in moving], 1 - decay)
        for name in self.tensors.keys() - moving:
            self.tensors[name].copy_(present[name])

    @contextmanager
    def in_network(self) -> Iterator[None]:
        """Within it the network has the averages; afterwards its own weights again."""
        trained = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self.network.load_state_dict(self.tensors)
        yield
        self.network.load_state_dict(trained)
