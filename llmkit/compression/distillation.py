"""The loss of a student: Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network" (arXiv 1503.02531)."""

import torch
from torch import Tensor
from torch.nn import functional as F


def loss(logits: Tensor, targets: Tensor, teacher: Tensor, temperature: float, mix: float) -> Tensor:
    """(1 - mix) * cross-entropy of `targets` + mix * temperature² * KL(teacher || student), a mean in nats.

    logits (N, V) of the student; targets (N,); teacher (N, V): probabilities at `temperature`, as `probabilities`
    gives them. The square keeps the gradients' size when the temperature changes (section 2).
    """
    student = torch.log_softmax(logits / temperature, dim=-1)
    soft = F.kl_div(student, teacher, reduction="sum") / len(logits)
    return (1 - mix) * F.cross_entropy(logits, targets) + mix * temperature**2 * soft


def probabilities(logits: list[Tensor], temperature: float) -> Tensor:
    """Mean of the teachers' probabilities (N, V) from the logits of each."""
    return torch.stack([torch.softmax(each / temperature, dim=-1) for each in logits]).mean(dim=0)
