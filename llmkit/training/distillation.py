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


def distance(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """temperature² * KL(teacher || student), a mean in nats: what `loss` is at a `mix` of 1."""
    student = torch.log_softmax(logits / temperature, dim=-1)
    return temperature**2 * (F.kl_div(student, teacher, reduction="sum") / len(logits))


def targets(tokens: Tensor, teacher: Tensor, mix: float) -> Tensor:
    """What comes next, by the data (N,) and by the teacher's probabilities (N, V), in one: probabilities (N, V).

    The cross-entropy of these has the gradient of `loss` at temperature 1, from which it differs by `mix` times the
    teacher's entropy.
    """
    mixed = mix * teacher
    return mixed.scatter_add_(1, tokens[:, None], torch.full_like(mixed[:, :1], 1 - mix))


def share(mix: float, learning_rate: float, peak: float) -> float:
    """The teacher's share of the loss at a step: `mix` at the peak of the learning rate, less as that falls.

    At last the data alone counts, so that a student can become better than its teacher (Clark et al., "BAM! Born-again
    multi-task networks", arXiv 1907.04829, section 3.2, whose share falls along a line).
    """
    return mix * min(learning_rate / peak, 1.0)


def probabilities(logits: list[Tensor], temperature: float) -> Tensor:
    """Mean of the teachers' probabilities (N, V) from the logits of each."""
    return torch.stack([torch.softmax(each / temperature, dim=-1) for each in logits]).mean(dim=0)
