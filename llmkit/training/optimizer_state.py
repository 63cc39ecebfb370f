"""What an optimizer remembers, as tensors by name: how a learner's `state` and `load_state` keep it."""

import torch
from torch import Tensor


def to_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """{"PREFIX.INDEX.NAME": tensor} of each weight's moments (not copies)."""
    return {
        f"{prefix}.{index}.{name}": tensor
        for index, moments in optimizer.state_dict()["state"].items()
        for name, tensor in moments.items()
    }


def from_tensors(optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Put back what `to_tensors` gave; `tensors` may hold others too."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(f"{prefix}."):
            index, name = key.removeprefix(f"{prefix}.").split(".")
            moments.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
